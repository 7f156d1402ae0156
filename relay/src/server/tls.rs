//! TLS of the relay's own: a certificate and its key, read from files, and read again when these are replaced.
//!
//! Certificates are renewed every few weeks by programs that put new files where the old ones were. The relay looks for them once a
//! minute, so that nobody has to restart it. Files that make no sense change nothing: what it has goes on being used, and the log says so.

use super::sockets::REQUEST_TIME_MAX;
use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// How often it is looked whether the files were replaced.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Where a certificate and its key are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsOptions {
    /// A file in PEM with the certificate and those that lead from it to one that browsers know, in this order.
    pub certificate: PathBuf,
    /// A file in PEM with the certificate's private key, in PKCS #8, PKCS #1 or SEC 1.
    pub key: PathBuf,
}

/// Why a certificate cannot be used. All are the operator's to put right.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{} cannot be read: {error}", file.display())]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A file is not what it is to be.
    #[error("{} holds no {what} in PEM: it has a line that begins with -----BEGIN", file.display())]
    NotThere {
        /// Which.
        file: PathBuf,
        /// What is to be in it.
        what: &'static str,
    },
    /// The two do not belong together, or are of a kind that is not known.
    #[error("the certificate in {} cannot be used with the key in {}: {error}", files.certificate.display(), files.key.display())]
    Unusable {
        /// Which.
        files: TlsOptions,
        /// What the library said.
        error: rustls::Error,
    },
}

/// What speaks TLS on accepted connections.
pub(super) struct Tls {
    files: TlsOptions,
    now: Mutex<Loaded>,
}

struct Loaded {
    config: Arc<ServerConfig>,
    /// When the files were written that it came from.
    written: [Option<SystemTime>; 2],
}

impl Tls {
    /// Reads the files.
    pub(super) fn open(files: TlsOptions) -> Result<Self, TlsError> {
        let now = Mutex::new(load(&files)?);
        Ok(Self { files, now })
    }

    /// Speaks TLS on a connection; one that takes too long about it is let go of.
    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let config = Arc::clone(&self.now.lock().unwrap_or_else(PoisonError::into_inner).config);
        let speaking = TlsAcceptor::from(config).accept(stream);
        tokio::time::timeout(REQUEST_TIME_MAX, speaking).await.unwrap_or_else(|late| Err(late.into()))
    }

    /// Looks for new files until nobody uses this any more.
    pub(super) async fn follow(this: Weak<Self>) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let Some(tls) = this.upgrade() else { return };
            tls.look_again();
        }
    }

    /// Takes the files that are there now, if they are others and make sense; answers whether it did.
    fn look_again(&self) -> bool {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        let written = written(&self.files);
        if written == now.written {
            return false;
        }
        match load(&self.files) {
            Ok(loaded) => {
                *now = loaded;
                tracing::info!(certificate = %self.files.certificate.display(), "a new certificate is used from now on");
                true
            }
            Err(error) => {
                // It is said once for these files, and not every minute.
                now.written = written;
                tracing::error!("the certificate was replaced, and the one before goes on being used: {error}");
                false
            }
        }
    }
}

fn load(files: &TlsOptions) -> Result<Loaded, TlsError> {
    let written = written(files);
    let certificate = read(&files.certificate)?;
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&certificate).filter_map(Result::ok).collect();
    if chain.is_empty() {
        return Err(TlsError::NotThere { file: files.certificate.clone(), what: "certificate" });
    }
    let key = PrivateKeyDer::from_pem_slice(&read(&files.key)?)
        .map_err(|_: pem::Error| TlsError::NotThere { file: files.key.clone(), what: "private key" })?;
    let unusable = |error| TlsError::Unusable { files: files.clone(), error };
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(unusable)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Loaded { config: Arc::new(config), written })
}

fn read(file: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(file).map_err(|error| TlsError::Unreadable { file: file.to_owned(), error })
}

fn written(files: &TlsOptions) -> [Option<SystemTime>; 2] {
    [&files.certificate, &files.key].map(|file| std::fs::metadata(file).and_then(|found| found.modified()).ok())
}

#[cfg(test)]
mod tests {
    use super::{Tls, TlsError, TlsOptions};
    use std::path::Path;
    use std::time::{Duration, SystemTime};

    /// A new certificate and its key in `folder`, written at a time of its own.
    fn write(folder: &Path, seconds: u64) -> TlsOptions {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let files = TlsOptions { certificate: folder.join("cert.pem"), key: folder.join("key.pem") };
        std::fs::write(&files.certificate, made.cert.pem()).unwrap();
        std::fs::write(&files.key, made.key_pair.serialize_pem()).unwrap();
        let file = std::fs::File::options().append(true).open(&files.key).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
        files
    }

    #[test]
    fn a_renewed_certificate_is_taken_and_a_broken_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let files = write(folder.path(), 1);
        let tls = Tls::open(files.clone()).unwrap();
        assert!(!tls.look_again(), "nothing was replaced");
        write(folder.path(), 2);
        assert!(tls.look_again());
        std::fs::write(&files.certificate, "half of it").unwrap();
        std::fs::write(&files.key, "").unwrap();
        assert!(!tls.look_again(), "the one before goes on being used");
        write(folder.path(), 3);
        assert!(tls.look_again());
    }

    #[test]
    fn what_is_wrong_with_a_certificate_is_said() {
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let files = write(folder.path(), 1);
        let not_a_key = TlsOptions { key: files.certificate.clone(), ..files.clone() };
        let error = Tls::open(not_a_key).err().unwrap();
        assert!(matches!(&error, TlsError::NotThere { what: "private key", .. }), "{error}");
        let nowhere = TlsOptions { certificate: folder.path().join("gone.pem"), ..files.clone() };
        assert!(Tls::open(nowhere).err().unwrap().to_string().contains("gone.pem cannot be read"));
        let of_another = TlsOptions { key: write(other.path(), 1).key, ..files };
        let error = Tls::open(of_another).err().unwrap();
        assert!(matches!(&error, TlsError::Unusable { .. }), "{error}");
    }
}
