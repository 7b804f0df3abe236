//! What is uploaded, as it is typed for links and for forms.

use clap::{ArgAction, Args};
use keyfob_core::message::Failure;

use super::presign::pairs;

/// What is uploaded. The heading of these options is said where they are put.
#[derive(Debug, Args)]
#[group(skip)]
pub(super) struct Options {
    /// Type of what is uploaded: text/plain
    #[arg(long, value_name = "TYPE")]
    pub(super) content_type: Option<String>,
    /// Who may read it: private, public-read, bucket-owner-full-control, …
    #[arg(long, value_name = "ACL")]
    pub(super) acl: Option<String>,
    /// Tag of the object; more than once for several
    #[arg(long, value_name = "NAME=VALUE", action = ArgAction::Append)]
    tag: Vec<String>,
}

impl Options {
    /// Name and value of each tag, if there is one.
    pub(super) fn tags(&self) -> Result<Option<Vec<(String, String)>>, Failure> {
        let tags = pairs(&self.tag)?;
        Ok((!tags.is_empty()).then_some(tags))
    }
}

/// Those of the options that are given, each by the name that it has in the request.
pub(super) fn given<'a, const N: usize>(
    options: [(&'a str, &'a Option<String>); N],
) -> impl Iterator<Item = (String, String)> {
    options.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)))
}
