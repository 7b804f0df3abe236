//! What the Query protocol answers.

use std::fmt::Write as _;

/// A refusal.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) code: String,
    pub(super) message: String,
}

impl Refusal {
    /// With AWS's code and words.
    pub(super) fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self { status, code: code.to_owned(), message: message.into() }
    }

    /// `AccessDenied`.
    pub(super) fn denied(message: impl Into<String>) -> Self {
        Self::new(403, "AccessDenied", message)
    }

    /// `ValidationError`.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, "ValidationError", message)
    }

    /// What AWS says of a parameter that is not as it must be.
    pub(super) fn constraint(value: &str, name: &str, constraint: &str) -> Self {
        Self::invalid(format!(
            "1 validation error detected: Value '{value}' at '{name}' failed to satisfy constraint: {constraint}"
        ))
    }

    /// The document of it.
    pub(super) fn document(&self, namespace: &str, request_id: &str) -> String {
        let kind = if self.status < 500 { "Sender" } else { "Receiver" };
        let error = [("Type", kind), ("Code", &self.code), ("Message", &self.message)];
        let error = error.iter().fold(Xml::default(), |xml, (name, text)| xml.text(name, text));
        format!(
            "<ErrorResponse xmlns=\"{namespace}\"><Error>{}</Error><RequestId>{request_id}</RequestId>\
             </ErrorResponse>\n",
            error.0
        )
    }
}

/// What is inside an element.
#[derive(Debug, Clone, Default)]
pub(super) struct Xml(pub(super) String);

impl Xml {
    /// With an element that has a text.
    #[must_use]
    pub(super) fn text(mut self, name: &str, text: &str) -> Self {
        let _ = write!(self.0, "<{name}>");
        for c in text.chars() {
            match c {
                '&' => self.0 += "&amp;",
                '<' => self.0 += "&lt;",
                '>' => self.0 += "&gt;",
                '"' => self.0 += "&quot;",
                c => self.0.push(c),
            }
        }
        let _ = write!(self.0, "</{name}>");
        self
    }

    /// With an element that has elements.
    #[must_use]
    pub(super) fn inside(mut self, name: &str, inside: &Self) -> Self {
        let _ = write!(self.0, "<{name}>{}</{name}>", inside.0);
        self
    }

    /// The document that answers an action with this as its result.
    pub(super) fn document(&self, action: &str, namespace: &str, request_id: &str) -> String {
        let result = if self.0.is_empty() {
            String::new()
        } else {
            format!("<{action}Result>{}</{action}Result>", self.0)
        };
        format!(
            "<{action}Response xmlns=\"{namespace}\">{result}<ResponseMetadata><RequestId>{request_id}</RequestId>\
             </ResponseMetadata></{action}Response>\n"
        )
    }
}
