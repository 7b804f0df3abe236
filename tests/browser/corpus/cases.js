// The corpus: which page, under which address, and what must come of it. What a row does not say is as in `DEFAULTS`.

import { TEXTS } from "./texts.js";

/** The accounts on the key. Those of `later` come onto it for the rows that say so: with them, more than one fits some pages. */
export const ACCOUNTS = {
  alice: { name: "Amazon Web Services:alice@123456789012", secret: "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP" },
  center: { name: "AWS SSO:alice", secret: "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", touch: true },
  gov: { name: "arn:aws-us-gov:iam::111122223333:mfa/gov", secret: "KRSXG5CTMVRXEZLUKRSXG5CTMVRXEZLU" },
  china: { name: "arn:aws-cn:iam::444455556666:mfa/ming", secret: "MFRGGZDFMZTWQ2LKMFRGGZDFMZTWQ2LK" },
  europe: { name: "arn:aws-eusc:iam::777788889999:mfa/eva", secret: "NBSWY3DPO5XXE3DENBSWY3DPO5XXE3DE" },
  bob: { name: "Amazon Web Services:bob@acme-dev", secret: "ORSXG5BAORSXG5BAORSXG5BAORSXG5BA", later: true },
  root: { name: "Amazon Web Services:root-account-mfa-device@123456789012", secret: "PJ5HU6TZPJ5HU6TZPJ5HU6TZPJ5HU6TZ", later: true },
};

const OAUTH = "/oauth?client_id=arn%3Aaws%3Asignin%3A%3A%3Aconsole%2Fcanvas&response_type=code&redirect_uri=https%3A%2F%2Fconsole.aws.amazon.com%2F";
const IAM = `https://us-east-1.signin.aws.amazon.com${OAUTH}`;
const CENTER = "https://us-east-1.signin.aws/platform/d-9067abcdef/login?workflowStateHandle=8d6a1c60";
const BUILDER = "https://us-east-1.signin.aws/platform/d-9067642ac7/login?workflowStateHandle=0b7e";

/**
 * @typedef Case
 * @property {string} name
 * @property {string} url
 * @property {string} page Name of the file in `pages/`.
 * @property {"plain" | "angular" | "react"} framework What keeps the code.
 * @property {string} locale Key of `TEXTS`.
 * @property {"code" | "authenticator"} label Which of the texts is the field's name.
 * @property {"shadow" | "nested shadow"} [root] The form is in open shadow trees.
 * @property {number} [late] The form comes so late, in ms.
 * @property {boolean} [focus] It takes the focus when it comes.
 * @property {number[]} [replacedAt] When the framework replaces the form, in ms after it came.
 * @property {number} [replacedAfter] The framework replaces it, in ms after the person pressed something.
 * @property {{ host: string, scheme?: string, sandbox?: string, kind?: string }[]} [around] Pages that have it in a frame, the outermost first.
 * @property {string} [css] Styles of the page, from `when` on: one of the kit's moments.
 * @property {string} [when]
 * @property {string[]} [does] Names of attacks.
 * @property {string} [dir] Of the document.
 * @property {[number, number]} [window] Its size, in CSS pixels.
 * @property {string} [field] Markup of the field of `other-fields`.
 * @property {"chip" | "page" | "twice" | "close" | "last" | "back" | "steps" | "steps last" | "nothing"} act What the person does: clicks the chip;
 *   clicks the page; clicks twice beside the chip; closes the chip; takes the last of the chip's list; comes back to the page; goes through the earlier steps.
 * @property {Record<string, string>} [types] What the person types in the earlier steps, by selector, in order; an empty text is a click.
 * @property {boolean} [chip] Whether the chip must come (true), must not (false), or may.
 * @property {keyof ACCOUNTS | null} [fills] Whose code must be in the field in the end; null: none; undefined: it may be.
 * @property {boolean} [asked] What is wrong may be noticed only once the key has been asked.
 * @property {boolean} [once] In one browser only: in the other, the rule is the same code, and other rows of the kind show that it is met.
 * @property {boolean} later The accounts of `later` are on the key.
 */

/** @type {Partial<Case>} */
const DEFAULTS = {
  url: IAM,
  page: "next-2024",
  framework: "react",
  locale: "en",
  label: "code",
  act: "chip",
  chip: true,
  later: false,
};

/** Rows that share something. */
const rows = (shared, ...list) => list.map((row) => ({ ...DEFAULTS, ...shared, ...row }));
/** One row for each entry of a table. */
const each = (shared, table) => rows(shared, ...Object.entries(table).map(([name, more]) => ({ name, ...more })));

const HIDDEN = {
  "the field has no opacity": "[data-code]{opacity:.01}",
  "the form has no opacity": "form{opacity:.3}",
  "body has no opacity": "body{opacity:.01}",
  "html has no opacity": "html{opacity:.01}",
  "opacities that are little only together": "main{opacity:.8}form{opacity:.8}[data-code]{opacity:.8}",
  "a filter makes the field transparent": "[data-code]{filter:opacity(0)}",
  "a filter makes the form transparent": "form{filter:opacity(1%)}",
  "visibility: hidden": "form{visibility:hidden}",
  "visibility: collapse": "form{visibility:collapse}",
  "display: none": "form{display:none}",
  "content-visibility: hidden": "main{content-visibility:hidden}",
  "the field is tiny": "[data-code]{width:4px;height:4px;padding:0;border:0}",
  "the field is a line": "[data-code]{height:2px;padding:0;border:0;overflow:hidden}",
  "scaled to nothing": "form{transform:scale(.01)}",
  "turned on its edge": "form{transform:rotateY(90deg)}",
  "a mask hides it": "form{mask-image:linear-gradient(#0000,#0000);-webkit-mask-image:linear-gradient(#0000,#0000)}",
};

/** Ways to hide the field which a look at the field alone need not notice: the code stays away all the same. */
const OUT_OF_SIGHT = {
  "clipped to nothing": "[data-code]{clip-path:inset(50%)}",
  "an ancestor is clipped to nothing": "form{clip-path:circle(0)}",
  "an ancestor is clipped the old way": "form{position:absolute;clip:rect(0,0,0,0)}",
  "an ancestor has no size": "form{width:0;height:0;overflow:hidden}",
  "left of the window": "form{position:absolute;left:-3000px}",
  "moved out of the window": "main{transform:translateX(-3000px)}",
  "above the window": "main{position:fixed;top:-2000px}",
  "behind something": "body::after{content:'';position:fixed;inset:0;background:#fff;z-index:9}",
  "behind the page's own ground": "html,body{background:#fff;position:relative;z-index:0}form{position:relative;z-index:-1}main{background:#fff}",
};

const positive = [
  // ---- generations and hosts
  ...each({}, {
    "IAM before 2024": { page: "iam-before-2024", framework: "angular", fills: "alice" },
    "root, oldest": { page: "root-oldest", framework: "plain", url: "https://signin.aws.amazon.com/ap/signin?openid.mode=checkid_setup", fills: "alice" },
    "root about 2021": { page: "root-2021", framework: "angular", url: `https://signin.aws.amazon.com/signin?redirect_uri=https%3A%2F%2Fconsole.aws.amazon.com`, fills: "alice" },
    "IAM and root from 2024": { fills: "alice" },
    "Identity Center": { url: CENTER, page: "identity-center", fills: "center" },
    "Identity Center, by aria-label": { url: CENTER, page: "identity-center-aria", fills: "center" },
    "Identity Center, the other label": { once: true, url: CENTER, page: "identity-center", label: "authenticator", fills: "center" },
    "Identity Center on sso.signin.aws": { once: true, url: "https://eu-west-1.sso.signin.aws/platform/d-93670abcde/login?x=1", page: "identity-center", fills: "center" },
    "Builder ID": { url: BUILDER, page: "identity-center", label: "authenticator", fills: "center" },
    "the global host": { once: true, url: `https://signin.aws.amazon.com${OAUTH}`, fills: "alice" },
    "a region's host": { once: true, url: `https://ap-southeast-2.signin.aws.amazon.com${OAUTH}`, fills: "alice" },
    "an account's host": { url: "https://123456789012.signin.aws.amazon.com/console", fills: "alice" },
    "an alias's host": { once: true, url: "https://acme-prod.signin.aws.amazon.com/console", fills: "alice" },
  }),

  // ---- frameworks, for each way to put a form on a page
  ...["plain", "angular", "react"].flatMap((framework) =>
    each({ framework, fills: "alice" }, {
      [`${framework}: at once`]: {},
      [`${framework}: late`]: { late: 300, focus: true, once: framework !== "react" },
      [`${framework}: replaced when it is there`]: { replacedAt: [30, 90], once: framework !== "react" },
      [`${framework}: in an open shadow tree`]: { root: "shadow", once: framework !== "angular" },
    })),
  ...each({ fills: "alice" }, {
    "in a shadow tree of a shadow tree": { root: "nested shadow", late: 100 },
    "six fields of one digit, React": { page: "segmented" },
    "six fields of one digit, without a framework": { page: "segmented", framework: "plain" },
    "six fields of one digit, AngularJS": { page: "segmented", framework: "angular" },
    "hidden at first": { css: "main{opacity:0;animation:in .1s .3s forwards}@keyframes in{to{opacity:1}}" },
    "hidden at first by display": { css: "main{animation:in .3s}@keyframes in{from,99%{display:none}to{display:block}}" },
  }),

  // ---- the window
  ...each({ fills: "alice" }, {
    "a narrow window": { window: [360, 640] },
    "from right to left": { dir: "rtl", locale: "ar" },
    "from right to left, in a narrow window": { dir: "rtl", locale: "ar", window: [360, 640] },
    "larger letters": { css: "html{zoom:1.6}" },
    "a page that is made small once there is a chip": { css: "html{zoom:.2}main{zoom:5}", when: "chip" },
    "a form that is scaled": { css: "main{transform:scale(1.3);transform-origin:top left}" },
    "a page with its own stacking": { css: "main{position:relative;z-index:2147483647;isolation:isolate}" },
    "field at the lower edge": { css: "main{position:fixed;bottom:-60px;left:200px}" },
    "styles that would hide anything foreign": { css: "html>:not(head,body,style){display:none!important;opacity:0!important;visibility:hidden!important;transform:scale(0)!important;pointer-events:none!important}[popover]{position:static!important;left:-999px!important;clip-path:inset(100%)!important}" },
    "a backdrop behind every popover": { css: "[popover]::backdrop{display:block!important;position:fixed;inset:0;background:#fff!important;opacity:1!important}", when: "chip" },
    "a bar across the page that is no element": { css: "body::before{content:'';position:absolute;left:0;top:0;width:100%;height:32px;background:#123;pointer-events:none}main{position:relative}main::after{content:'';position:absolute;inset:auto 0 -40px 0;height:30px;background:#123;pointer-events:none}" },
    "come back to": { act: "back" },
  }),

  // ---- frames
  ...each({ fills: "alice" }, {
    "in a frame of its own site": { around: [{ host: "us-east-1.signin.aws.amazon.com" }] },
    "in two frames of AWS's": { around: [{ host: "signin.aws.amazon.com" }, { host: "us-east-1.signin.aws.amazon.com" }] },
  }),

  // ---- in another language
  ...each({ locale: "de", fills: "alice" }, {
    "de: root about 2021": { page: "root-2021", framework: "angular" },
    "de: IAM before 2024": { page: "iam-before-2024", framework: "angular" },
  }),
];

/** That the field is found says its name; nobody has done anything, and nothing is filled. */
const languages = Object.keys(TEXTS).flatMap((locale) =>
  each({ locale, page: "identity-center", url: CENTER, act: "nothing", fills: null, once: !["ja", "de"].includes(locale) }, {
    [`${locale}: MFA code`]: {},
    [`${locale}: authenticator's code`]: { label: "authenticator" },
    [`${locale}: by aria-label`]: { label: "authenticator", page: "identity-center-aria", once: true },
  }));

const touch = each({ url: CENTER, page: "identity-center", fills: "center" }, {
  "the page was used: the key blinks by itself": { act: "page" },
  "the framework replaces the field while the key waits": { act: "page", replacedAfter: 120 },
});

/** What is wrong only once the key has been asked. */
const late = Object.entries({
  "the field has no opacity": HIDDEN["the field has no opacity"],
  "the form has no opacity": HIDDEN["the form has no opacity"],
  "display: none": HIDDEN["display: none"],
  "moved out of the window": OUT_OF_SIGHT["moved out of the window"],
  "behind something": OUT_OF_SIGHT["behind something"],
}).map(([name, css]) => ({ ...DEFAULTS, name: `${name}, after the person's click`, css, when: "click", fills: null, asked: true, once: name !== "behind something" }));

const negative = [
  // ---- fields that nobody sees
  ...Object.entries(HIDDEN).map(([name, css], i) => ({ name, css, chip: false, once: i % 4 !== 0 })),
  ...Object.entries(OUT_OF_SIGHT).map(([name, css], i) => ({ name, css, chip: undefined, once: i % 3 !== 0 })),
  { name: "the field is of the type hidden", css: "", chip: false, page: "other-fields", field: '<input data-code id="mfaCode" type="hidden">' },
  { name: "the field is disabled", chip: false, page: "other-fields", field: '<input data-code id="mfaCode" disabled>' },
  { name: "the field is read-only", chip: false, page: "other-fields", field: '<input data-code id="mfaCode" readonly>' },

  // ---- fields of other things
  ...Object.entries({
    "a password": '<label for="p">Password</label><input data-code id="p" type="password">',
    "a user name": '<label for="u">IAM username</label><input data-code id="u" name="username" autocomplete="username">',
    "an account": '<label for="a">Account ID (12 digits) or account alias</label><input data-code id="a" name="account">',
    "a captcha": '<label for="captchaGuess">Type the characters seen in the image</label><input data-code id="captchaGuess" maxlength="6">',
    "a search": '<input data-code type="search" aria-label="MFA code">',
    "a box to tick": '<label><input data-code type="checkbox" id="mfaCode" value=""> MFA code</label>',
    "a device's name": '<label for="d">MFA device name</label><input data-code id="d">',
    "a search of devices": '<label>Search MFA devices<input data-code></label>',
    "a device's serial number": '<label>MFA serial number<input data-code></label>',
    "an e-mail address": '<label for="e">Email address for MFA recovery</label><input data-code id="e" type="email">',
    "an area of text": '<label for="t">MFA code</label><textarea id="t"></textarea><input data-code type="hidden">',
  }).map(([name, field], i) => ({ name: `asks for ${name}`, page: "other-fields", field, chip: false, once: i % 3 !== 0 })),

  // ---- what is wrong from the moment that the chip is there, and from the moment that the person presses it
  ...Object.entries({ ...HIDDEN, ...OUT_OF_SIGHT }).map(([name, css], i) => (
    { name: `${name}, once there is a chip`, css, when: "chip", chip: true, once: i % 5 !== 1 })),
  ...["the field has no opacity", "the field is tiny", "display: none", "scaled to nothing"].map((name, i) => (
    { name: `${name}, as the person presses the chip`, css: HIDDEN[name], when: "pointerdown", chip: true, once: i > 0 })),
  ...["clipped to nothing", "moved out of the window", "behind something"].map((name, i) => (
    { name: `${name}, as the person presses the chip`, css: OUT_OF_SIGHT[name], when: "mousedown", chip: true, once: i > 0 })),
  { name: "the field has no opacity, as the person lets go of the chip", css: HIDDEN["the field has no opacity"], when: "mouseup", chip: true },
  { name: "html is clipped to nothing", css: "html{clip-path:inset(100%)}", when: "chip", chip: true },
  { name: "html has a filter", css: "html{filter:opacity(0)}", when: "chip", chip: true },
  { name: "html has a mask", css: "html{mask-image:linear-gradient(#0000,#0000)}", when: "chip", chip: true },
  { name: "what no element is lies over everything, of html", css: "html::before{content:'';position:fixed;inset:0;background:#fff;pointer-events:none;z-index:9}", when: "chip", chip: true },
  { name: "what no element is lies over everything, of body", css: "body::after{content:'';position:fixed;inset:0;background:#fff;pointer-events:none;z-index:9}", when: "chip", chip: true },
  ...Object.entries({
    "moved there by a path": "left:-5000px;top:0;offset-path:path('M 5000 0 h 1');offset-rotate:0deg;offset-anchor:0 0",
    "larger by its shadow": "left:-90px;top:-90px;width:9px;height:9px;box-shadow:0 0 0 9000px #fff",
    "larger than its lengths": "left:0;top:0;width:9px;height:9px;transform:scale(500)",
    "larger by what it is in": "left:0;top:0;width:9px;height:9px}html{transform:scale(1.0001)}html::before{scale:500",
    "zoomed": "left:0;top:0;width:100px;height:60px;zoom:20",
    "at the end of its place": "inset:-5000px 0 0 0;height:100vh;width:100vw;align-self:end",
  }).map(([how, css]) => ({ name: `what no element is lies over everything, ${how}`, when: "chip", chip: true, once: true,
    css: `html::before{content:'';position:fixed;width:100vw;height:100vh;background:#fff;pointer-events:none;z-index:9;${css}}` })),
  { name: "html is transparent as the pointer comes", css: "html{opacity:.01}", when: "pointerover", chip: true },

  // ---- over and around the chip
  ...[
    "a popover lies over everything",
    "a popover that lets clicks through lies over everything",
    "such a popover, in a closed tree",
    "such a popover, in a closed tree behind thirty thousand elements",
    "such a popover, shown again all the time",
    "such a popover, shown when the pointer comes",
    "a dialog lies over everything",
    "something lies over the field",
    "something that lets clicks through lies over the field",
    "a picture of the page is shown in its place",
  ].map((attack) => ({ name: attack, does: [attack], chip: true, once: attack.startsWith("a picture") })),
  ...[
    "the chip is moved by its own measures",
    "the chip is moved by an animation of its measures",
    "the field, and with it the chip, is put under the pointer",
    "the window is scrolled so that the chip comes under the pointer",
  ].map((attack) => ({ name: attack, does: [attack], act: "twice", chip: true })),

  // ---- events that nobody made
  ...["events are made up", "a click elsewhere is passed on to the chip", "the focus is taken", "the form is submitted by the page"].map((attack) => (
    { name: attack, does: [attack], act: "page", chip: true })),
  { name: "a key that blinks for events that are made up", does: ["events are made up"], act: "nothing", url: CENTER, page: "identity-center", chip: true },
  { name: "the chip was closed", act: "close", chip: false },
  { name: "the chip was closed, in a page that changes", act: "close", chip: false, does: ["the page grows and shrinks all the time"] },

  // ---- hosts
  ...Object.entries({
    "AWS's name under another": "https://signin.aws.amazon.com.evil.test",
    "AWS's name under another, by a proxy's suffix": "https://signin.aws.haqm.com",
    "AWS's name with something before it": "https://evil-signin.aws.amazon.com",
    "AWS's name without its dot": "https://xsignin.aws.amazon.com",
    "AWS's name with a hyphen": "https://signin-aws.amazon.com",
    "Identity Center's name under another": "https://us-east-1.signin.aws.evil.test",
    "Identity Center's name with something before it": "https://us-east-1.notsignin.aws",
    "another of AWS's hosts": "https://us-east-1.console.aws.amazon.com",
    "a portal": "https://d-9067abcdef.awsapps.com",
    "letters that look alike": "https://xn--sgnin-n4a.aws.amazon.com.evil.test",
    "the address in a path": "https://evil.test/https://signin.aws.amazon.com",
    "http": "http://us-east-1.signin.aws.amazon.com",
    "another port": "https://us-east-1.signin.aws.amazon.com:8443",
    "http and another port": "http://us-east-1.signin.aws.amazon.com:8080",
    "China's name under another": "https://cn-north-1.signin.amazonaws.cn.evil.test",
    "GovCloud's name under another": "https://signin.amazonaws-us-gov.com.evil.test",
  }).map(([name, origin], i) => ({ name: `look-alike: ${name}`, url: `${origin}${OAUTH}`, chip: false, once: i % 3 !== 0 })),

  // ---- frames
  ...Object.entries({
    "in another site's page": [{ host: "evil.test" }],
    "in another site's page, which is in AWS's": [{ host: "us-east-1.signin.aws.amazon.com" }, { host: "evil.test" }],
    "in AWS's page, which is in another site's": [{ host: "evil.test" }, { host: "us-east-1.signin.aws.amazon.com" }],
    "in another host of Amazon's": [{ host: "console.aws.amazon.com" }],
    "in a page over http": [{ host: "us-east-1.signin.aws.amazon.com", scheme: "http" }],
    "in a sandbox": [{ host: "us-east-1.signin.aws.amazon.com", sandbox: "allow-scripts" }],
    "in a sandbox with forms and windows": [{ host: "us-east-1.signin.aws.amazon.com", sandbox: "allow-scripts allow-forms allow-popups" }],
    "in another site's object": [{ host: "evil.test", kind: "object" }],
    "in another site's embed": [{ host: "evil.test", kind: "embed" }],
    "in a sandbox of another site": [{ host: "evil.test", sandbox: "allow-scripts allow-same-origin" }],
  }).map(([name, around]) => ({ name: `a frame ${name}`, around, chip: undefined })),
  ...["srcdoc", "blob", "data"].map((kind) => (
    { name: `a frame of the page's own making: ${kind}`, around: [{ host: "us-east-1.signin.aws.amazon.com", kind }], chip: undefined })),
].map((row) => ({ ...DEFAULTS, fills: null, ...row }));

/** What the page may do as it likes: it is filled all the same, and stays usable. */
const unimpressed = [
  "the setter of value is replaced",
  "addEventListener is replaced",
  "methods of arrays are replaced",
  "Promise is replaced",
  "observers and timers are replaced",
  "attachShadow opens every tree",
  "what says where things are is replaced",
  "chrome and browser are replaced",
  "objects have setters for what scripts look up",
  "popovers are replaced",
  "elements are named as the document's methods",
  "inputs are named as their form's properties",
  "the chip has styles of the page",
  "ten thousand inputs",
  "ten thousand labelled inputs",
  "a thousand fields with the autocomplete of a code",
  "a label of ten million characters",
  "a tree three hundred deep",
  "ten thousand elements with open shadow trees",
  "the page changes a thousand times a second",
  "the page grows and shrinks all the time",
  "the whole document is written anew",
].map((attack) => ({ ...DEFAULTS, name: attack, does: [attack], framework: "plain", fills: "alice" }));

/** What the page does to the chip so that nobody can use it: nothing is filled by itself, and the page stays usable. */
const stubborn = [
  "the chip may not be shown",
  "the chip is taken away while it is shown",
  "the chip is removed and put back in a loop",
  "the chip is no popover any more",
  "the chip is hidden in a loop",
  "every toggle is undone by the page",
  "the chip is put into a transparent box",
  "the field is put back every frame",
  "a thousand hidden fields of the same id",
  "html is replaced",
  "a frame lies over everything",
  "a dialog that lets clicks through lies over everything",
].map((attack, i) => ({ ...DEFAULTS, name: attack, does: [attack], chip: undefined, fills: undefined, once: i % 2 === 1 }));

// ---- the earlier step, and more accounts than one

const steps = [
  // Before anybody has signed in in the tab.
  ...rows({ later: true }, { name: "several fit: the last of the list", act: "last", fills: "root" }),
  ...rows({ later: true, act: "steps" },
    { name: "several devices: the app, then the code", page: "several-devices", url: "https://123456789012.signin.aws.amazon.com/console",
      types: { "[value=SWHW]": "", "[data-goes]": "" }, act: "steps last", fills: undefined },
    { name: "the account and the user of the earlier step", page: "earlier-iam",
      types: { "#account": "123456789012", "#username": "alice", "#password": "secret", "#signin_button": "" }, fills: "alice" },
    { name: "an alias and a user in the earlier step", page: "earlier-iam",
      types: { "#account": "acme-dev", "#username": "bob", "#password": "secret", "#signin_button": "" }, fills: "bob" },
  ),
  ...rows({ later: true },
    { name: "the alias that the host names", url: "https://acme-dev.signin.aws.amazon.com/console", fills: "bob" },
  ),
];

/** On optional hosts; the test's copy of the extension has their permissions from the start. */
const optional = each({}, {
  "GovCloud, an account's host": { url: "https://111122223333.signin.amazonaws-us-gov.com/console", fills: "gov" },
  "GovCloud, Identity Center": { url: "https://us-gov-west-1.signin.amazonaws-us-gov.com/platform/d-9867abcdef/login?x=1", page: "identity-center", fills: "center" },
  "China, an account's host": { url: "https://444455556666.signin.amazonaws.cn/console", locale: "zh-CN", fills: "china" },
  "EU sovereign, an account's host": { url: "https://777788889999.signin.amazonaws-eusc.eu/console", locale: "de", fills: "europe" },
});

/** Groups by name. */
export const CASES = {
  "pages that are filled": positive,
  "languages": languages,
  "a key that wants a touch": touch,
  "pages that change while the key is asked": late,
  "pages that get nothing": negative,
  "pages that do as they like": unimpressed,
  "pages that fight the chip": stubborn,
  "hosts that the person allowed": optional,
  "earlier steps and several accounts": steps,
};

for (const [i, row] of Object.values(CASES).flat().entries()) row.id = i;
