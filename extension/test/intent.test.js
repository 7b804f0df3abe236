// Who may have a code filled, and when: the shipped extension in real browsers, with the real host and a software key,
// on pages that try to get a code without a person's intent. (Look-alike hosts: tests/browser/signin.test.js.) The
// key is "touched" so late that a page can change meanwhile. What the host says is overheard: that a key does not
// blink is seen there, and not only by no code coming.

import assert from "node:assert/strict";
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { BROWSERS, Home, launch, Pages, tool, until, endBackground } from "../../tests/browser/harness.js";
import { FakeHost } from "./fake-host.js";

const ALICE = "otpauth://totp/Amazon%20Web%20Services:alice@123456789012?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";
const BOB = "otpauth://totp/Amazon%20Web%20Services:bob@210987654321?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
const SIGN_IN = "https://us-east-1.signin.aws.amazon.com/signin.html?mfa&nofocus&report";

/** Long enough for whatever does not wait for a person: to ask the host, to get its answer, and to fill it. */
const SETTLED = 500;

/** Clicks on a chip that the person has not seen for a while do not count. */
const SEEN = 350;

const accounts = {
  "a touch account": [[["--touch"], ALICE]],
  "an account without touch": [[[], ALICE]],
  "two accounts": [[["--touch"], ALICE], [["--touch"], BOB]],
};

// The browsers wait most of the time, so they do it side by side.
describe("who may have a code filled", { concurrency: 3 }, () => {
  for (const name of BROWSERS) describe(name, { concurrency: 1 }, () => inBrowser(name));
  describe("hosts that the person allowed later", { concurrency: 1, timeout: 120_000 }, allowedLater);
});

function inBrowser(name) {
  for (const [kind, uris] of Object.entries(accounts)) {
    describe(`${name}, ${kind}`, { timeout: 360_000 }, () => {
      let home, pages, browser, host, page;

      before(async () => {
        home = new Home();
        const environment = home.environment.bind(home);
        home.environment = () => ({ ...environment(), KEYFOB_SOFT_TOUCH: "800", KEYFOB_KEY: "soft:test" });
        await home.keyfob(["soft", "create", "test"]);
        for (const [options, uri] of uris) await home.keyfob(["oath", "uri", ...options], `${uri}\n`);
        pages = await Pages.start(home);
        browser = await launch(name, home, pages);
        host = new FakeHost(home, name).overhear();
      });
      after(async () => {
        await browser?.close();
        pages?.stop();
        home?.remove();
      });
      beforeEach(async () => {
        // A code that one test had filled is not given to the next.
        home.endAgent();
        page = await browser.newPage();
        await page.bringToFront();
      });
      afterEach(() => page.close());

      // To look at a page through automation counts as the person's act in it; so nothing is looked at before the end,
      // but by what the page reports of itself and what the host says.
      const open = async (url = SIGN_IN) => {
        await page.goto(url);
        pages.report = undefined;
        await until("the field", () => pages.report?.field);
      };
      /** Opens the page, and waits until the chip is there and knows what fits. */
      const openWithChip = async (url) => {
        const lists = host.lists();
        await open(url);
        await until("the chip", () => pages.report.chips && host.lists() > lists);
      };
      /** Acts, and waits until the key blinks. At the end of a step, the next one is waited for first. */
      const untilTouch = async (act) => {
        const touches = host.touches();
        await act();
        await until("the touch", () => host.touches() > touches);
      };
      /** Waits until what takes a few seconds does not reach into the next step. */
      const startOfStep = async () => {
        const left = 30_000 - (Date.now() % 30_000);
        if (left < 12_000) await sleep(left);
      };
      /** Acts, and sees that the key is not even asked. */
      const asksNothing = async (act) => {
        const before = [host.touches(), host.codes()];
        await act();
        await sleep(SETTLED);
        assert.deepEqual([host.touches(), host.codes()], before, "the key was not asked");
        assert.equal(await value(), "");
      };
      const value = (target = page) => target.evaluate(() => document.getElementById("mfaCode")?.value);
      const framework = () => page.evaluate(() => document.getElementById("state")?.textContent);
      const chip = () => page.evaluate(() => {
        const host = document.querySelector("html > [popover]");
        if (!host) return null;
        const { x, y, width, height } = host.getBoundingClientRect();
        return { x, y, width, height };
      });
      const clickPage = () => page.mouse.click(500, 80);
      const clickChip = async () => {
        const { x, y } = await chip();
        await sleep(SEEN);
        await page.mouse.click(x + 60, y + 18);
      };
      const filled = async () => {
        assert.match(await until("the code in the page", value), /^[0-9]{6}$/);
        assert.equal(await framework(), await value(), "the page's framework has the code, and nothing was submitted");
      };

      if (kind === "a touch account") {
        test("a page that merely loaded gets nothing; one that the person has used is filled on touch", async () => {
          await asksNothing(() => openWithChip());
          await startOfStep();
          const notes = host.notes();
          await openWithChip();
          await clickPage();
          await filled();
          await until("the note", () => host.notes() > notes);
          assert.match(await home.keyfob(["code", "alice", "--json"]), /"submitted": ?true/, "the code is noted as used");
        });

        test("a code that was filled is not filled again: the next one is waited for, until the person says no", async () => {
          await startOfStep();
          const notes = host.notes();
          await openWithChip();
          await clickPage();
          await filled();
          await until("the note", () => host.notes() > notes);
          const [waits, codes, cancelled] = [host.waits(), host.codes(), host.cancelled()];
          await openWithChip();
          await clickPage();
          await until("the wait", () => host.waits() > waits);
          await page.keyboard.press("Escape");
          await until("the end of the wait", () => host.cancelled() > cancelled);
          assert.equal(host.codes(), codes);
          assert.equal(await value(), "");
        });

        test("the person says no while the key waits: the touch buys nothing, and a click asks anew", async () => {
          await openWithChip();
          const [codes, cancelled] = [host.codes(), host.cancelled()];
          await untilTouch(clickPage);
          await page.keyboard.press("Escape");
          await until("the cancellation", () => host.cancelled() > cancelled);
          await sleep(800 + SETTLED);
          assert.equal(host.codes(), codes);
          assert.equal(await value(), "");
          await clickChip();
          await filled();
        });

        // Some of it is noticed at once, and the host is told that nobody waits any more; the rest when the code is there.
        const noticed = ["the field was replaced by another", "the focus moved to another field", "the page opened another",
          "the form became transparent", "the field became tiny"];
        const late = {
          "the field was replaced by another": () => {
            const old = document.getElementById("mfaCode");
            const made = old.cloneNode();
            made.name = "another";
            old.replaceWith(made);
          },
          "the page opened another": () => location.assign("/nothing.html"),
          "the person typed": () => {
            document.getElementById("mfaCode").value = "9";
          },
          "the page went on": () => history.pushState(null, "", "/elsewhere"),
          "the focus moved to another field": () => {
            const other = document.createElement("input");
            document.body.append(other);
            other.focus();
          },
          "something covers the field": () => {
            const cover = document.createElement("div");
            cover.style.cssText = "position:fixed;inset:0;background:#fff;z-index:9";
            document.body.append(cover);
          },
          "the form became transparent": () => {
            document.querySelector("main").style.opacity = "0.3";
          },
          "the field became tiny": () => {
            document.getElementById("mfaCode").style.cssText = "width:4px;height:4px;padding:0;border:0";
          },
          "the field was moved out of view": () => {
            document.querySelector("main").style.transform = "translateX(-3000px)";
          },
        };
        for (const [how, wait] of [["at once", 0], ["a moment later", 150]]) {
          test(`the framework puts another element in the place of the field, ${how}: that is filled`, async () => {
            await openWithChip();
            await untilTouch(clickPage);
            await page.evaluate((wait) => {
              const old = document.getElementById("mfaCode");
              const made = old.cloneNode();
              const next = old.nextSibling;
              const form = old.parentNode;
              made.addEventListener("input", () => {
                document.getElementById("state").textContent = made.value;
              });
              // What takes its place meanwhile keeps it free.
              const room = document.createElement("div");
              room.style.height = `${old.offsetHeight + 4}px`;
              old.replaceWith(room);
              const put = () => (room.remove(), form.insertBefore(made, next));
              if (wait) setTimeout(put, wait);
              else put();
            }, wait);
            await filled();
          });
        }

        if (name === "chromium") {
          const stopWorker = () => endBackground(browser);

          test("the service worker is stopped while the key waits: it goes on by itself, with another touch", async () => {
            await openWithChip();
            await untilTouch(clickPage);
            const touches = host.touches();
            await stopWorker();
            await until("the touch", () => host.touches() > touches);
            await filled();
          });

          test("and not when the person has gone on meanwhile, nor a second time", async () => {
            await openWithChip();
            await untilTouch(clickPage);
            const [touches, codes] = [host.touches(), host.codes()];
            await page.evaluate(() => history.pushState(null, "", "/elsewhere"));
            await stopWorker();
            await sleep(800 + SETTLED);
            assert.deepEqual([host.touches(), host.codes(), await value()], [touches, codes, ""]);
            await openWithChip();
            await untilTouch(clickPage);
            await untilTouch(stopWorker);
            await stopWorker();
            await sleep(800 + SETTLED);
            assert.equal(await value(), "");
            await clickChip();
            await filled();
          });
        }

        // The rules are the same code in both browsers; in the second, those that lean on the browser most.
        const leaning = [...noticed.slice(0, 3), "something covers the field"];
        for (const [what, change] of Object.entries(late)) {
          if (name !== BROWSERS[0] && !leaning.includes(what)) continue;
          test(`a late answer is dropped: ${what}`, async () => {
            await openWithChip();
            const [codes, cancelled] = [host.codes(), host.cancelled()];
            await untilTouch(clickPage);
            await page.evaluate(change);
            if (noticed.includes(what)) {
              await until("the cancellation", () => host.cancelled() > cancelled);
              await sleep(800 + SETTLED);
              assert.equal(host.codes(), codes, "the touch bought nothing");
              assert([undefined, ""].includes(await value()));
              return;
            }
            const left = await value();
            assert(["", "9"].includes(left), "the key waits for its touch");
            // What has changed before the page hears of the touch is noticed then.
            await until("the late code", () => host.codes() > codes || host.cancelled() > cancelled);
            await sleep(SETTLED);
            assert.equal(await value(), left);
            assert.equal(await framework(), "");
          });
        }
      }

      if (kind === "an account without touch") {
        test("only a click fills", async () => {
          await openWithChip();
          await asksNothing(clickPage);
          await clickChip();
          await filled();
        });

        test("events that the page makes up are none", async () => {
          await openWithChip();
          const events = () => {
            const host = document.querySelector("html > [popover]");
            const { x, y, width, height } = host.getBoundingClientRect();
            for (let left = 5; left < width; left += 20) {
              const at = { clientX: x + left, clientY: y + height / 2, bubbles: true, composed: true };
              for (const type of ["pointerdown", "mousedown", "pointerup", "mouseup", "click"]) {
                host.dispatchEvent(new MouseEvent(type, at));
                document.elementFromPoint(at.clientX, at.clientY)?.dispatchEvent(new MouseEvent(type, at));
              }
              host.click();
            }
            dispatchEvent(new KeyboardEvent("keydown", { key: "K", altKey: true, shiftKey: true }));
            postMessage({ command: "fill" });
            if (host.shadowRoot) throw new Error("the page can look into the chip");
          };
          await asksNothing(() => page.evaluate(events));
        });

        test("a chip that the page has made transparent does not count as clicked", async () => {
          await openWithChip();
          const { x, y } = await chip();
          await page.evaluate(() => {
            document.documentElement.style.opacity = "0.01";
          });
          await asksNothing(async () => {
            await page.mouse.click(x + 60, y + 18);
            await sleep(200);
            await page.mouse.click(x + 60, y + 18);
          });
        });

        test("a field that cannot be seen gets no chip", async () => {
          await open(`${SIGN_IN}&hidden`);
          await sleep(SETTLED);
          assert.equal(await chip(), null);
        });

        /** A page with this in it, and how the code's field is there; opened, with its chip if it gets one. */
        const made = async (body, css = "") => {
          const html = `<!doctype html><html lang="en"><title>Made</title><style>${css}</style>
            <body style="margin:60px;font:15px sans-serif">${body}</body></html>`;
          pages.files.set("/made", { type: "text/html; charset=utf-8", body: html });
          const lists = host.lists();
          await page.goto(new URL("/made", SIGN_IN).href);
          return lists;
        };
        const CODE = '<label>MFA code <input id="mfaCode" style="width:260px;height:30px"></label>';

        test("fields that speak of MFA and take no code get no chip", async () => {
          const others = ["MFA device name", "Search MFA devices", "MFA serial number", "Name of the MFA device", "Add MFA tag"];
          const lists = await made(others.map((label, i) => `<p><label>${label} <input id="f-${i}"></label>`).join(""));
          await sleep(SETTLED);
          assert.equal(await chip(), null);
          // The same page would get one for a code, by the words or by the field's measure.
          for (const field of ['aria-label="MFA code"', 'aria-label="MFA" inputmode="numeric"', 'aria-label="MFA" maxlength="6"']) {
            await made(`<input ${field}>`);
            await until(`a chip at ${field}`, chip);
          }
          await until("what fits", () => host.lists() > lists);
        });

        const hides = {
          "what the page puts behind its content": "body::after{content:'';position:fixed;inset:0;background:#fff;pointer-events:none}",
          "what the document puts before its content": "html::before{content:'';position:fixed;inset:0;background:#fff;pointer-events:none;z-index:1}",
          "what an element of no size has behind it":
            "p::after{content:'';position:absolute;left:0;top:0;width:600px;height:300px;background:#fff;pointer-events:none}",
        };
        for (const [what, css] of Object.entries(hides)) {
          test(`a field under ${what} is not filled`, async () => {
            const lists = await made(`${CODE}<p style="margin:0;height:0"></p>`, css);
            await until("the chip", async () => (await chip()) && host.lists() > lists);
            await asksNothing(clickChip);
          });
        }

        test("what is before and behind a field's own parts is no cover", async () => {
          const css = `label::after{content:"";position:absolute;width:20px;height:40px;background:#c00;pointer-events:none}
            body::before{content:"";position:fixed;inset:0;background:#eee;pointer-events:none;z-index:-1}`;
          const lists = await made(CODE, css);
          await until("the chip", async () => (await chip()) && host.lists() > lists);
          await clickChip();
          assert.match(await until("the code", value), /^[0-9]{6}$/);
        });

        test("the chip has no backdrop, whatever the page would have it be", async () => {
          const lists = await made(CODE, "[popover]::backdrop{display:block!important;position:fixed;inset:0;background:#fff!important}");
          await until("the chip", async () => (await chip()) && host.lists() > lists);
          const backdrop = await page.evaluate(() => getComputedStyle(document.querySelector("html > [popover]"), "::backdrop").display);
          assert.equal(backdrop, "none");
          await clickChip();
          assert.match(await until("the code", value), /^[0-9]{6}$/);
        });

        test("the page's zoom does not hold for the chip, and a chip that is made small does not count as clicked", async () => {
          let width, height;
          for (const zoom of [1, 0.2, 1.6, 1]) {
            const lists = await made(CODE, `html{zoom:${zoom}}input{zoom:${1 / zoom}}`);
            await until("the chip", async () => (await chip()) && host.lists() > lists);
            const box = await until("the chip's size", async () => {
              const now = await chip();
              return now.height > 45 && (height === undefined || Math.abs(now.height - height) < 2) && now;
            });
            if (zoom === 1) ({ width, height } = box);
            // Firefox rounds what is in a zoomed element.
            assert(Math.abs(box.width - width) < 6, `${box.width} and not ${width}`);
          }
          // Whatever the chip does against it.
          await page.evaluate(() => {
            const { style } = document.querySelector("html > [popover]");
            const again = () => {
              style.setProperty("--zoom", "0.2", "important");
              requestAnimationFrame(again);
            };
            again();
          });
          const { x, y } = await chip();
          await sleep(SEEN);
          await asksNothing(() => page.mouse.click(x + 10, y + 5));
        });

        test("a view transition may show what is not there: nothing is filled under it", async () => {
          const lists = await made(CODE, `::view-transition{pointer-events:none;background:#fff}
            ::view-transition-old(root){animation:none;opacity:1}::view-transition-new(root){display:none}
            ::view-transition-group(*){animation-duration:1000s!important}`);
          await until("the chip", async () => (await chip()) && host.lists() > lists);
          const { x, y } = await chip();
          await sleep(SEEN);
          await page.evaluate(() => void document.startViewTransition(() => {}).finished.catch(() => {}));
          await sleep(SEEN);
          await asksNothing(() => page.mouse.click(x + 60, y + 18));
        });

        test("a window that has only just come to the front: the click that was meant for another does not count", async () => {
          for (let tries = 0; tries < 5; tries++) {
            await openWithChip();
            await sleep(SEEN);
            const { x, y } = await chip();
            const other = await browser.newPage();
            await other.bringToFront();
            await sleep(SEEN);
            const began = performance.now();
            let took;
            await page.bringToFront();
            try {
              await asksNothing(async () => {
                await page.mouse.click(x + 60, y + 18);
                took = performance.now() - began;
              });
            } catch (error) {
              // On a busy machine the click may come late enough to count.
              if (took < 300) throw error;
              await other.close();
              continue;
            }
            await clickChip();
            await filled();
            await other.close();
            return;
          }
          assert.fail("the machine is too busy for a click that comes at once");
        });

        const framed = (attributes, source = SIGN_IN) => {
          const frame = document.createElement("iframe");
          for (const [attribute, text] of Object.entries(attributes)) frame.setAttribute(attribute, text);
          frame.style.cssText = "position:fixed;inset:0;width:700px;height:500px;z-index:9;background:#fff";
          frame.src = source;
          document.body.append(frame);
        };
        const frames = {
          "in another site's page": ["https://evil.test/console.html", {}, false],
          "in a sandbox": ["https://us-east-1.signin.aws.amazon.com/console.html", { sandbox: "allow-scripts" }, false],
          "in a page of its own site": ["https://us-east-1.signin.aws.amazon.com/console.html", {}, true],
        };
        for (const [where, [url, attributes, fills]] of Object.entries(frames)) {
          test(`a frame ${where} ${fills ? "is" : "is not"} filled`, async () => {
            await page.goto(url);
            pages.report = undefined;
            await page.evaluate(framed, attributes, SIGN_IN);
            const frame = await until("the frame", () => page.frames().find((each) => each.url().startsWith(SIGN_IN)));
            await until("the field", () => frame.evaluate(() => document.getElementById("mfaCode") !== null));
            if (fills) await until("the chip", () => pages.report?.chips);
            await sleep(SETTLED);
            await page.mouse.click(600, 20);
            await sleep(300);
            // Clicks on whatever may be the chip, beside the field or below it.
            const places = await frame.evaluate(() => {
              const host = document.querySelector("html > [popover]");
              const box = (host ?? document.getElementById("mfaCode")).getBoundingClientRect();
              return [box.x + Math.min(60, box.width / 2), box.y + Math.min(18, box.height / 2), host !== null];
            });
            const codes = host.codes();
            await sleep(SEEN);
            await page.mouse.click(places[0], places[1]);
            if (fills) {
              assert.match(await until("the code in the frame", () => value(frame)), /^[0-9]{6}$/);
            } else {
              await sleep(SETTLED);
              assert.equal(await value(frame), "");
              assert.equal(host.codes(), codes, "the key was not asked");
            }
          });
        }
      }

      if (kind === "two accounts") {
        test("the person chooses, and nothing is asked before", async () => {
          await openWithChip();
          await asksNothing(clickPage);
          const { height: low } = await chip();
          await clickChip();
          const { x, y, height } = await until("the list", async () => {
            const box = await chip();
            return box.height > low + 40 && box;
          });
          await sleep(SEEN);
          await untilTouch(() => page.mouse.click(x + 60, y + height - 22));
          assert.equal(await value(), "", "the key waits for its touch");
          await filled();
          assert(await home.isCodeOf("bob", await value()), "it is the code of the last in the list");
        });

        test("the account that the host name speaks of needs no choice", async () => {
          await openWithChip(SIGN_IN.replace("us-east-1", "123456789012"));
          await clickPage();
          await filled();
        });
      }
    });
  }
}

// No automation can press the browser's own "Allow"; a copy of the extension has one of its optional hosts from the start.
function allowedLater() {
  let home, pages, browser;

  before(async () => {
    home = new Home();
    const environment = home.environment.bind(home);
    home.environment = () => ({ ...environment(), KEYFOB_KEY: "soft:test" });
    await home.keyfob(["soft", "create", "test"]);
    await home.keyfob(["oath", "uri"], `${ALICE}\n`);
    pages = await Pages.start(home);
    const extension = path.join(home.path, "extension");
    cpSync(tool("KEYFOB_EXTENSION"), extension, { recursive: true });
    const file = path.join(extension, "manifest.json");
    const manifest = JSON.parse(readFileSync(file, "utf8"));
    manifest.host_permissions.push("https://*.signin.amazonaws-us-gov.com/*");
    writeFileSync(file, JSON.stringify(manifest));
    browser = await launch("chromium", home, pages, { extension });
  });
  after(async () => {
    await browser?.close();
    pages?.stop();
    home?.remove();
  });

  test("a page that was there before the extension is watched once it comes", async () => {
    const page = await browser.newPage();
    await browser.uninstallExtension(browser.extensionId);
    await page.goto("https://us-gov-west-1.signin.amazonaws-us-gov.com/signin.html?mfa");
    await page.waitForSelector("#mfaCode");
    const chips = () => page.evaluate(() => document.querySelectorAll("html > [popover]").length);
    assert.equal(await chips(), 0);
    await browser.installExtension(path.join(home.path, "extension"));
    await page.bringToFront();
    await until("the chip", chips);
    await sleep(SETTLED);
    assert.equal(await chips(), 1);
    await page.close();
  });

  for (const [host, expected] of [
    ["us-gov-west-1.signin.amazonaws-us-gov.com", true],
    ["cn-north-1.signin.amazonaws.cn", false],
  ]) {
    test(`${expected ? "a" : "no"} chip on ${host}`, async () => {
      const watcher = (each) => each.type() === "service_worker" && each.url().includes(browser.extensionId);
      const worker = await (await browser.waitForTarget(watcher)).worker();
      // A page that was loaded before the registration is not watched.
      await until("the registration", async () =>
        // A worker that has just begun has no API yet.
        (await worker.evaluate(() => globalThis.chrome?.scripting?.getRegisteredContentScripts() ?? [])).length > 0,
      );
      const page = await browser.newPage();
      const chip = () => page.evaluate(() => document.querySelector("html > [popover]") !== null);
      await page.goto(`https://${host}/signin.html?mfa`);
      await page.waitForSelector("#mfaCode");
      if (expected) await until("the chip", chip);
      else await sleep(2 * SETTLED);
      assert.equal(await chip(), expected);
      await page.close();
    });
  }
}
