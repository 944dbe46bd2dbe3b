//! Who has which address of IP: one table for TCP, one for UDP.
//!
//! Every address exists in the simulation. A wildcard (`0.0.0.0`, `[::]`) stands for all addresses of its own family, so
//! it and a single address of that family cannot have the same port.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use rustix::io::Errno;

/// The first port that is given to who did not ask for one (RFC 6335, section 6: dynamic ports).
const FIRST: u16 = 49152;

/// The addresses of one protocol.
#[derive(Debug, Default)]
pub(crate) struct Ports {
    taken: BTreeMap<(u16, IpAddr), u64>,
    /// The port that each address gives away next.
    next: BTreeMap<IpAddr, u16>,
}

impl Ports {
    /// Gives `address` to socket `id`; port 0 asks for one that is free. It gives the address without the parts of it
    /// that the simulation does not know, such as the scope.
    pub(crate) fn bind(&mut self, address: SocketAddr, id: u64) -> Result<SocketAddr, Errno> {
        let ip = address.ip();
        let port = match address.port() {
            0 => self.free(ip).ok_or(Errno::ADDRINUSE)?,
            port if self.is_taken(ip, port) => return Err(Errno::ADDRINUSE),
            port => port,
        };
        self.taken.insert((port, ip), id);
        Ok((ip, port).into())
    }

    /// Socket `id` does not have `address` any more.
    pub(crate) fn release(&mut self, address: SocketAddr, id: u64) {
        let key = (address.port(), address.ip());
        if self.taken.get(&key) == Some(&id) {
            self.taken.remove(&key);
        }
    }

    /// Who gets what is sent to `address`.
    pub(crate) fn find(&self, address: SocketAddr) -> Option<u64> {
        let port = address.port();
        let exact = self.taken.get(&(port, address.ip()));
        exact
            .or_else(|| self.taken.get(&(port, wildcard(address.ip()))))
            .copied()
    }

    fn free(&mut self, ip: IpAddr) -> Option<u16> {
        let first = *self.next.get(&ip).unwrap_or(&FIRST);
        let port = (first..=u16::MAX)
            .chain(FIRST..first)
            .find(|&port| !self.is_taken(ip, port))?;
        self.next.insert(ip, port.checked_add(1).unwrap_or(FIRST));
        Some(port)
    }

    fn is_taken(&self, ip: IpAddr, port: u16) -> bool {
        let lowest = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let of_port = self
            .taken
            .range((port, lowest)..)
            .take_while(|((found, _), _)| *found == port);
        let mut others = of_port.map(|((_, other), _)| *other);
        others.any(|other| {
            other.is_ipv4() == ip.is_ipv4() && (other == ip || other.is_unspecified() || ip.is_unspecified())
        })
    }
}

/// The address that stands for all of this one's family.
pub(crate) fn wildcard(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

/// Where something to `address` goes: as in Linux, the wildcard as a target is the loopback address.
pub(crate) fn target(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    (ip, address.port()).into()
}

/// The source address of who is bound to `own`, if to any, and sends to `target`.
pub(crate) fn source(own: IpAddr, target: IpAddr) -> IpAddr {
    match (own.is_unspecified(), target) {
        (false, _) => own,
        (true, IpAddr::V4(ip)) if ip.is_loopback() => Ipv4Addr::LOCALHOST.into(),
        (true, _) => target,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_wildcard_takes_the_port_of_its_family() {
        let mut ports = Ports::default();
        ports.bind(at("0.0.0.0:80"), 1).unwrap();
        assert_eq!(ports.bind(at("10.0.0.1:80"), 2), Err(Errno::ADDRINUSE));
        assert_eq!(ports.bind(at("0.0.0.0:80"), 2), Err(Errno::ADDRINUSE));
        ports.bind(at("[::1]:80"), 3).unwrap();
        assert_eq!(ports.bind(at("[::]:80"), 2), Err(Errno::ADDRINUSE));
        ports.bind(at("10.0.0.1:81"), 4).unwrap();
        ports.bind(at("10.0.0.2:81"), 5).unwrap();
        assert_eq!(ports.find(at("10.9.9.9:80")), Some(1));
        assert_eq!(ports.find(at("[::1]:80")), Some(3));
        assert_eq!(ports.find(at("[::2]:80")), None);
        assert_eq!(ports.find(at("10.0.0.2:81")), Some(5));
        ports.release(at("0.0.0.0:80"), 2);
        assert_eq!(ports.find(at("10.9.9.9:80")), Some(1), "it is not his");
        ports.release(at("0.0.0.0:80"), 1);
        assert_eq!(ports.find(at("10.9.9.9:80")), None);
    }

    #[test]
    fn free_ports_are_counted_up_for_each_address_and_go_round() {
        let mut ports = Ports::default();
        assert_eq!(ports.bind(at("127.0.0.1:0"), 1), Ok(at("127.0.0.1:49152")));
        assert_eq!(ports.bind(at("127.0.0.1:0"), 2), Ok(at("127.0.0.1:49153")));
        assert_eq!(ports.bind(at("127.0.0.2:0"), 3), Ok(at("127.0.0.2:49152")));
        assert_eq!(
            ports.bind(at("0.0.0.0:0"), 4),
            Ok(at("0.0.0.0:49154")),
            "the lower ones are taken"
        );
        ports.release(at("127.0.0.1:49152"), 1);
        for port in 49155..=u16::MAX {
            assert_eq!(ports.bind(at("127.0.0.1:0"), 5).unwrap().port(), port);
        }
        assert_eq!(ports.bind(at("127.0.0.1:0"), 6), Ok(at("127.0.0.1:49152")));
        assert_eq!(ports.bind(at("127.0.0.1:0"), 7), Err(Errno::ADDRINUSE));
    }

    #[test]
    fn sources_are_as_in_linux() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(source(ip("0.0.0.0"), ip("127.0.0.2")), ip("127.0.0.1"));
        assert_eq!(source(ip("0.0.0.0"), ip("10.0.0.1")), ip("10.0.0.1"));
        assert_eq!(source(ip("10.0.0.2"), ip("10.0.0.1")), ip("10.0.0.2"));
        assert_eq!(source(ip("::"), ip("::1")), ip("::1"));
        assert_eq!(target(at("0.0.0.0:7")), at("127.0.0.1:7"));
        assert_eq!(target(at("[::]:7")), at("[::1]:7"));
    }
}
