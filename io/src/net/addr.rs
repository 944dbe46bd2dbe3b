//! From what a program calls an address to socket addresses.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use crate::current::Handle;

/// What can be turned into socket addresses: addresses, pairs of a host and a port, and text such as
/// `"127.0.0.1:80"`, `"[::1]:80"` or `"example.com:80"`.
///
/// Only host names are looked up; an address, even one in a text, never waits. The trait is sealed: how a lookup is
/// asked for may change.
pub trait ToSocketAddrs: sealed::Sealed {}

/// Looks `host` up: all addresses of it, in the resolver's order.
///
/// # Errors
///
/// If the text is not a host and a port, or the host is not known. A [simulated](crate::sim) network knows `localhost` only, and
/// says `Unsupported` to other names.
///
/// # Panics
///
/// If it is called outside of a runtime.
///
/// # Cancel safety
///
/// Nothing is lost but the lookup itself, which may go on in the background.
pub async fn lookup_host<T: ToSocketAddrs>(host: T) -> io::Result<impl Iterator<Item = SocketAddr>> {
    resolve(&host).await
}

/// The addresses that `address` names: at least one.
pub(crate) async fn resolve<T: ToSocketAddrs + ?Sized>(address: &T) -> io::Result<Addresses> {
    let (name, found) = match address.targets(sealed::Internal) {
        sealed::Targets::One(address) => return Ok(Addresses::One(Some(address))),
        sealed::Targets::Many(addresses) => (String::from("an empty list"), addresses),
        sealed::Targets::Malformed(text) => return Err(malformed(&text)),
        sealed::Targets::Name(name) => {
            let found = if Handle::current().network().is_some() {
                simulated_lookup(&name)
            } else {
                let lookup = (Handle::current().hooks().resolve)(name.clone());
                lookup.await
            };
            let found = found.map_err(|error| cannot_look_up(&name, &error))?;
            (name, found)
        }
    };
    if found.is_empty() {
        let text = format!("could not resolve {name} to any address");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    Ok(Addresses::Many(found.into_iter()))
}

/// Tries `f` with one address after the other, until one works; the last error, if none does.
pub(crate) fn first_of<R>(addresses: Addresses, mut f: impl FnMut(SocketAddr) -> io::Result<R>) -> io::Result<R> {
    let mut result = Err(io::Error::from(io::ErrorKind::InvalidInput));
    for address in addresses {
        result = f(address);
        if result.is_ok() {
            break;
        }
    }
    result
}

/// What a lookup found.
#[derive(Debug)]
pub(crate) enum Addresses {
    One(Option<SocketAddr>),
    Many(std::vec::IntoIter<SocketAddr>),
}

impl Iterator for Addresses {
    type Item = SocketAddr;

    fn next(&mut self) -> Option<SocketAddr> {
        match self {
            Addresses::One(address) => address.take(),
            Addresses::Many(addresses) => addresses.next(),
        }
    }
}

/// The addresses of a host and port in a simulated network, which knows one name.
fn simulated_lookup(name: &str) -> io::Result<Vec<SocketAddr>> {
    match name.rsplit_once(':').map(|(host, port)| (host, port.parse())) {
        Some(("localhost", Ok(port))) => Ok(vec![(Ipv4Addr::LOCALHOST, port).into()]),
        _ => {
            let text = "a simulated network knows no host names but localhost: use an address";
            Err(io::Error::new(io::ErrorKind::Unsupported, text))
        }
    }
}

fn malformed(text: &str) -> io::Error {
    let text =
        format!("{text:?} is not a socket address: expected host:port, such as \"localhost:80\" or \"[::1]:80\"");
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

fn cannot_look_up(name: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot look up {name:?}: {error}"))
}

/// A text of the form `host:port`, where the host is a name or an address.
fn from_text(text: &str) -> sealed::Targets {
    if let Ok(address) = text.parse() {
        return sealed::Targets::One(address);
    }
    match text.rsplit_once(':') {
        // A colon within the host can only be an address that is not one.
        Some((host, port)) if !host.is_empty() && !host.contains(':') && port.parse::<u16>().is_ok() => {
            sealed::Targets::Name(text.to_owned())
        }
        _ => sealed::Targets::Malformed(text.to_owned()),
    }
}

fn from_pair(host: &str, port: u16) -> sealed::Targets {
    match host.parse::<IpAddr>() {
        Ok(ip) => sealed::Targets::One((ip, port).into()),
        Err(_) if host.is_empty() || host.contains(':') => sealed::Targets::Malformed(format!("{host}:{port}")),
        Err(_) => sealed::Targets::Name(format!("{host}:{port}")),
    }
}

macro_rules! to_socket_addrs {
    ($($type:ty: |$address:ident| $targets:expr;)*) => {$(
        impl ToSocketAddrs for $type {}

        impl sealed::Sealed for $type {
            fn targets(&self, _: sealed::Internal) -> sealed::Targets {
                let $address = self;
                $targets
            }
        }
    )*};
}

to_socket_addrs! {
    SocketAddr: |address| sealed::Targets::One(*address);
    SocketAddrV4: |address| sealed::Targets::One((*address).into());
    SocketAddrV6: |address| sealed::Targets::One((*address).into());
    (IpAddr, u16): |pair| sealed::Targets::One((*pair).into());
    (Ipv4Addr, u16): |pair| sealed::Targets::One((*pair).into());
    (Ipv6Addr, u16): |pair| sealed::Targets::One((*pair).into());
    [SocketAddr]: |addresses| sealed::Targets::Many(addresses.to_vec());
    (&str, u16): |pair| from_pair(pair.0, pair.1);
    (String, u16): |pair| from_pair(&pair.0, pair.1);
    str: |text| from_text(text);
    String: |text| from_text(text);
}

impl<T: ToSocketAddrs + ?Sized> ToSocketAddrs for &T {}

impl<T: ToSocketAddrs + ?Sized> sealed::Sealed for &T {
    fn targets(&self, internal: sealed::Internal) -> sealed::Targets {
        (**self).targets(internal)
    }
}

mod sealed {
    use std::net::SocketAddr;

    #[expect(unnameable_types, reason = "that is what seals it")]
    pub trait Sealed {
        #[doc(hidden)]
        fn targets(&self, internal: Internal) -> Targets;
    }

    /// Only this crate can make one, so only this crate can call what takes it.
    #[expect(
        missing_debug_implementations,
        unnameable_types,
        reason = "it is no part of the interface"
    )]
    pub struct Internal;

    #[expect(
        missing_debug_implementations,
        unnameable_types,
        reason = "it is no part of the interface"
    )]
    pub enum Targets {
        One(SocketAddr),
        Many(Vec<SocketAddr>),
        /// A host name and a port, with a colon between.
        Name(String),
        Malformed(String),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> String {
        match from_text(text) {
            sealed::Targets::One(address) => format!("address {address}"),
            sealed::Targets::Many(addresses) => format!("{addresses:?}"),
            sealed::Targets::Name(name) => format!("name {name}"),
            sealed::Targets::Malformed(text) => format!("malformed {text}"),
        }
    }

    #[test]
    fn literal_addresses_are_not_names() {
        assert_eq!(text("127.0.0.1:80"), "address 127.0.0.1:80");
        assert_eq!(text("[::1]:80"), "address [::1]:80");
        assert!(matches!(from_pair("::1", 80), sealed::Targets::One(_)));
    }

    #[test]
    fn names_need_a_port() {
        assert_eq!(text("localhost:80"), "name localhost:80");
        for wrong in [
            "localhost",
            "localhost:",
            ":80",
            "localhost:65536",
            "",
            "::1:80x",
            "[::1]",
            "a:b:80",
        ] {
            assert_eq!(text(wrong), format!("malformed {wrong}"));
        }
    }
}
