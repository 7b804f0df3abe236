//! Logins to the AWS console that wait for a browser: a URL each, which signs in whoever has it.
//!
//! ```text
//!   offer ─► waits ─► taken by its ticket, once ─► both are answered
//!                 ├─► a minute is over ──────────► who offered it is told
//!                 └─► who offered it goes away ──► erased
//! ```
//!
//! A ticket stands in the arguments of the program that opens the browser, where others of the machine can read it: it is worth
//! nothing to whoever cannot ask this process. Nobody guesses one; and as each waits for its asker, there are only a few.

use std::time::{Duration, Instant};

use data_encoding::HEXLOWER;
use keyfob_core::aws;
use keyfob_core::message::{Answer, ErrorCode, Event, Failure, Password};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::error::failure;
use crate::holder::Asker;
use crate::locked::Locked;
use crate::prompt::printable;
use crate::shelf::Ready;

/// How long the browser may take to come: a person may have to allow it first.
const PATIENCE: Duration = Duration::from_secs(60);
/// How many wait at once.
const MAX_OFFERS: usize = 16;
/// Longest URL, in bytes: its token is made of a session's, of which AWS's are under 3 KiB.
const ROOM: usize = 16 << 10;
/// Longest name of a container, in bytes.
const MAX_NAME: usize = 256;

/// 128 random bits.
type Ticket = Zeroizing<[u8; 16]>;

/// Those that wait.
#[derive(Default)]
pub(crate) struct Logins(Vec<Offer>);

/// A login, and who offers it.
struct Offer {
    login: Login,
    asker: Asker,
    until: Instant,
}

struct Login {
    ticket: Ticket,
    container: String,
    url: Locked<[u8; ROOM]>,
    length: usize,
}

impl Login {
    fn new(ticket: &Password, url: &Password, container: &str) -> Result<Self, Failure> {
        let bad = |text: &str, hint: &str| failure(ErrorCode::InvalidInput, text, hint);
        let ticket = read(ticket).ok_or_else(|| {
            failure(ErrorCode::BadRequest, "a ticket is 32 hexadecimal digits of lower case", "")
        })?;
        if !aws::is_console_login(&url.0) {
            return Err(bad(
                "that is no login at AWS's own sign-in",
                "open the URL yourself: `keyfob login --stdout` prints it",
            ));
        }
        if container.trim().is_empty() || container.len() > MAX_NAME || printable(container) != container {
            return Err(bad(
                "that is no name for a container",
                "give one of a few words, as it is to be shown: --container=NAME",
            ));
        }
        let mut room = Locked::new([0; ROOM]);
        let Some(place) = room.get_mut(..url.0.len()) else {
            return Err(bad(
                "the console's URL is too long to be handed over",
                "open it yourself: `keyfob login --stdout` prints it",
            ));
        };
        place.copy_from_slice(url.0.as_bytes());
        Ok(Self { ticket, container: container.to_owned(), url: room, length: url.0.len() })
    }

    fn answer(&self) -> Answer {
        let bytes = self.url.get(..self.length).unwrap_or_default();
        // It was text when it came.
        let url = Password(str::from_utf8(bytes).unwrap_or_default().to_owned());
        Answer::Login { url, container: self.container.clone() }
    }
}

impl Logins {
    /// Keeps a login until it is taken. The asker is told that it can be, or, as what is returned, why it is not kept.
    pub(crate) fn offer(
        &mut self,
        now: Instant,
        asker: Asker,
        ticket: &Password,
        url: &Password,
        container: &str,
    ) -> Option<Ready> {
        match self.room(now).and_then(|until| Ok((Login::new(ticket, url, container)?, until))) {
            Ok((login, until)) => {
                asker.event(Event::Waiting { why: "the browser has not come for the login yet".to_owned() });
                self.0.push(Offer { login, asker, until });
                None
            }
            Err(error) => Some((asker, Err(error))),
        }
    }

    /// Until when one more may wait.
    fn room(&self, now: Instant) -> Result<Instant, Failure> {
        now.checked_add(PATIENCE).filter(|_| self.0.len() < MAX_OFFERS).ok_or_else(|| {
            failure(
                ErrorCode::Busy,
                format!("{MAX_OFFERS} logins wait for a browser already"),
                "end them, or try again in a minute",
            )
        })
    }

    /// Gives the login of a ticket, to nobody else again. Its URL, and whoever is to be told that it was taken.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`], whatever is wrong with the ticket.
    pub(crate) fn take(&mut self, now: Instant, ticket: &Password) -> Result<(Answer, Ready), Failure> {
        let gone = || {
            failure(
                ErrorCode::NotFound,
                "no login waits under that ticket: each is given once, and is over after a minute",
                "run `keyfob login` again",
            )
        };
        let ticket = read(ticket).ok_or_else(gone)?;
        let is_it = |offer: &Offer| bool::from(offer.login.ticket.as_slice().ct_eq(ticket.as_slice()));
        let position = self.0.iter().position(|offer| is_it(offer) && offer.until > now).ok_or_else(gone)?;
        let offer = self.0.swap_remove(position);
        Ok((offer.login.answer(), (offer.asker, Ok(Answer::Noted {}))))
    }

    /// Erases those for whom `leaves` is true, given seat and request. Who waited for them.
    fn take_back(&mut self, leaves: impl Fn(&Asker) -> bool) -> Vec<Asker> {
        self.0.extract_if(.., |offer| leaves(&offer.asker)).map(|offer| offer.asker).collect()
    }

    /// A front end goes away.
    pub(crate) fn leave(&mut self, seat: u64) {
        drop(self.take_back(|asker| asker.seat == seat));
    }

    /// A front end takes a request back: the one who waited by it, who is to be told.
    pub(crate) fn cancel(&mut self, seat: u64, request: &str) -> Vec<Asker> {
        self.take_back(|asker| asker.seat == seat && asker.id == request)
    }

    /// Erases all. Who waited for them.
    pub(crate) fn forget_all(&mut self) -> Vec<Asker> {
        self.take_back(|_| true)
    }

    /// Whether any waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Erases what nobody has come for in time. Who is to be told so.
    pub(crate) fn tick(&mut self, now: Instant) -> Vec<Ready> {
        let late = self.0.extract_if(.., |offer| offer.until <= now);
        late.map(|offer| (offer.asker, Err(late_browser()))).collect()
    }

    /// When [`Logins::tick`] next has something to do.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.0.iter().map(|offer| offer.until).min()
    }
}

fn late_browser() -> Failure {
    failure(
        ErrorCode::Io,
        "no browser has come for the login in a minute",
        "see that Firefox was opened, has Keyfob's extension (`keyfob browser status`) and may open its links; \
         or give --stdout, and open what it prints",
    )
}

/// None for what is no ticket.
fn read(ticket: &Password) -> Option<Ticket> {
    let mut bytes = Ticket::default();
    let is_one = HEXLOWER.decode_len(ticket.0.len()) == Ok(bytes.len())
        && HEXLOWER.decode_mut(ticket.0.as_bytes(), bytes.as_mut_slice()).is_ok();
    is_one.then_some(bytes)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use keyfob_core::message::Reply;

    use super::*;

    const ONE: &str = "00112233445566778899aabbccddeeff";
    const TWO: &str = "00112233445566778899aabbccddeefe";
    const URL: &str = "https://signin.aws.amazon.com/federation?Action=login&SigninToken=secret";

    fn secret(text: &str) -> Password {
        Password(text.to_owned())
    }

    fn asker(seat: u64, id: &str) -> (Asker, Receiver<Reply>) {
        let (sender, replies) = channel();
        let replies_to = move |reply| drop(sender.send(reply));
        (Asker { seat, id: id.to_owned(), replies: Box::new(replies_to) }, replies)
    }

    fn offer(logins: &mut Logins, now: Instant, seat: u64, ticket: &str) -> Receiver<Reply> {
        let (asker, replies) = asker(seat, "o");
        assert!(logins.offer(now, asker, &secret(ticket), &secret(URL), "ops").is_none());
        let told = replies.try_recv().unwrap();
        assert!(matches!(told, Reply::Event { event: Event::Waiting { .. }, .. }), "{told:?}");
        replies
    }

    fn refused(logins: &mut Logins, ticket: &str, url: &str, container: &str) -> ErrorCode {
        let (asker, _replies) = asker(1, "o");
        let ready = logins.offer(Instant::now(), asker, &secret(ticket), &secret(url), container);
        ready.unwrap().1.unwrap_err().code
    }

    fn not_found(logins: &mut Logins, now: Instant, ticket: &str) {
        assert_eq!(logins.take(now, &secret(ticket)).map(|_| ()).unwrap_err().code, ErrorCode::NotFound);
    }

    #[test]
    fn it_is_given_once_to_who_has_its_ticket() {
        let (mut logins, now) = (Logins::default(), Instant::now());
        let offered = offer(&mut logins, now, 1, ONE);
        for other in [TWO, "", "0", &ONE.to_uppercase(), &ONE[..30], &format!("{ONE}00"), &"ä".repeat(16)] {
            not_found(&mut logins, now, other);
        }
        let (answer, (asker, told)) = logins.take(now, &secret(ONE)).unwrap();
        assert_eq!(answer, Answer::Login { url: secret(URL), container: "ops".to_owned() });
        assert_eq!(told, Ok(Answer::Noted {}));
        asker.finish(told);
        assert!(matches!(offered.try_recv().unwrap(), Reply::Done { answer: Answer::Noted {}, .. }));
        not_found(&mut logins, now, ONE);
        assert!(logins.is_empty());
    }

    #[test]
    fn after_a_minute_it_is_over() {
        let (mut logins, now) = (Logins::default(), Instant::now());
        offer(&mut logins, now, 1, ONE);
        offer(&mut logins, now + Duration::from_secs(1), 1, TWO);
        assert_eq!(logins.due(), Some(now + PATIENCE));
        assert!(logins.tick(now + PATIENCE - Duration::from_millis(1)).is_empty());
        // Whether somebody has looked at the clock or not.
        not_found(&mut logins, now + PATIENCE, ONE);
        let ready = logins.tick(now + PATIENCE);
        assert_eq!(ready.len(), 1);
        assert_eq!(ready[0].1.as_ref().unwrap_err().code, ErrorCode::Io);
        assert!(logins.take(now + PATIENCE, &secret(TWO)).is_ok());
        assert_eq!(logins.due(), None);
    }

    #[test]
    fn it_goes_with_who_offers_it() {
        let (mut logins, now) = (Logins::default(), Instant::now());
        offer(&mut logins, now, 1, ONE);
        offer(&mut logins, now, 2, TWO);
        logins.leave(1);
        not_found(&mut logins, now, ONE);
        assert!(logins.cancel(1, "o").is_empty() && logins.cancel(2, "p").is_empty());
        assert_eq!(logins.cancel(2, "o").len(), 1);
        not_found(&mut logins, now, TWO);
        offer(&mut logins, now, 3, ONE);
        assert_eq!(logins.forget_all().len(), 1);
        not_found(&mut logins, now, ONE);
    }

    #[test]
    fn what_is_offered_has_bounds() {
        let mut logins = Logins::default();
        for ticket in ["", "1", &ONE.to_uppercase(), &ONE[..31], &format!("{ONE}0")] {
            assert_eq!(refused(&mut logins, ticket, URL, "ops"), ErrorCode::BadRequest);
        }
        let long = format!("{URL}{}", "a".repeat(ROOM + 1 - URL.len()));
        for url in ["", "https://evil.test/", "http://127.0.0.1/federation?Action=login&", &long] {
            assert_eq!(refused(&mut logins, ONE, url, "ops"), ErrorCode::InvalidInput);
        }
        for container in ["", " ", "a\nb", "o\u{202e}ps", &"a".repeat(MAX_NAME + 1)] {
            assert_eq!(refused(&mut logins, ONE, URL, container), ErrorCode::InvalidInput);
        }
        let now = Instant::now();
        let _waiting: Vec<_> = (0..MAX_OFFERS).map(|_| offer(&mut logins, now, 1, ONE)).collect();
        assert_eq!(refused(&mut logins, TWO, URL, "ops"), ErrorCode::Busy);
    }
}
