//! A TLS server on this machine, whose certificate is of an authority that nobody knows yet.

use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection};

/// A connection of a client's.
pub type Stream = rustls::StreamOwned<ServerConnection, TcpStream>;

/// The server; ends with this process.
pub struct TlsServer {
    port: u16,
    authority: String,
}

impl TlsServer {
    /// Starts one that goes by these names. `serve` reads a client's request and answers it; then the connection ends. What fails
    /// with one client is its own affair: who does not trust the server goes before it has asked.
    ///
    /// # Errors
    ///
    /// If it cannot listen.
    pub fn start(
        names: &[&str],
        mut serve: impl FnMut(&mut Stream) -> io::Result<()> + Send + 'static,
    ) -> Result<Self> {
        let mut params = CertificateParams::new([])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let key = KeyPair::generate()?;
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        let certificate = CertificateParams::new(names)?.signed_by(&key, &authority)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)?;
        let config = Arc::new(config);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let server = Self { port: listener.local_addr()?.port(), authority: authority.pem() };
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let Ok(connection) = ServerConnection::new(Arc::clone(&config)) else { continue };
                let mut stream = Stream::new(connection, stream);
                let _ = serve(&mut stream);
                stream.conn.send_close_notify();
                let _ = io::Write::flush(&mut stream);
            }
        });
        Ok(server)
    }

    /// Where it listens, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `https://localhost:PORT`, if that is one of its names.
    pub fn origin(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    /// The certificate of its authority, in PEM.
    pub fn authority(&self) -> &str {
        &self.authority
    }
}
