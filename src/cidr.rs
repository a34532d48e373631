//! Ranges of addresses (RFC 4632, RFC 4291 section 2.3).

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// An address range. Host bits are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr {
    address: IpAddr,
    length: u8,
}

/// Why a text is not a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CidrError {
    /// Not `address/length`.
    #[error("is not an address range; write it as 203.0.113.16/29")]
    Form,
    /// Longer than the address.
    #[error("has a prefix length over 32 (IPv4) or 128 (IPv6)")]
    Length,
    /// For example 203.0.113.17/29.
    #[error("has bits set behind its prefix; write the first address of the range")]
    HostBits,
}

impl Cidr {
    /// The range of one address.
    pub fn host(address: IpAddr) -> Self {
        Self {
            address,
            length: width(address),
        }
    }

    /// The range `address/length` with its host bits cleared; `None` when the length does not fit the address.
    pub fn masked(address: IpAddr, length: u8) -> Option<Self> {
        (length <= width(address)).then(|| Self {
            address: mask(address, length),
            length,
        })
    }

    /// First address.
    pub fn address(self) -> IpAddr {
        self.address
    }

    /// Prefix length in bits.
    pub fn length(self) -> u8 {
        self.length
    }

    /// Every address of the range, in order.
    pub fn addresses(self) -> impl Iterator<Item = IpAddr> {
        let bits = u32::from(width(self.address) - self.length);
        // A range of all IPv6 addresses has one more than can be counted.
        let last = 1_u128.checked_shl(bits).unwrap_or(0).wrapping_sub(1);
        (0..=last).map(move |offset| match self.address {
            IpAddr::V4(first) => {
                IpAddr::from((u32::from(first) | u32::try_from(offset).unwrap_or(u32::MAX)).to_be_bytes())
            }
            IpAddr::V6(first) => IpAddr::from((u128::from(first) | offset).to_be_bytes()),
        })
    }

    /// Whether the range is a single address.
    pub fn is_host(self) -> bool {
        self.length == width(self.address)
    }

    /// Whether the address lies in the range; never across families.
    pub fn contains(self, address: IpAddr) -> bool {
        width(address) == width(self.address) && mask(address, self.length) == self.address
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn mask(address: IpAddr, length: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let keep = u32::MAX.checked_shl(u32::from(32 - length.min(32))).unwrap_or(0);
            IpAddr::from((u32::from(v4) & keep).to_be_bytes())
        }
        IpAddr::V6(v6) => {
            let keep = u128::MAX
                .checked_shl(u32::from(128 - length.min(128)))
                .unwrap_or(0);
            IpAddr::from((u128::from(v6) & keep).to_be_bytes())
        }
    }
}

impl FromStr for Cidr {
    type Err = CidrError;

    /// Accepts `address/length` and a bare address.
    fn from_str(text: &str) -> Result<Self, CidrError> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| CidrError::Form)?;
        let length = length.map_or(Ok(width(address)), |l| l.parse().map_err(|_| CidrError::Form))?;
        let range = Self::masked(address, length).ok_or(CidrError::Length)?;
        if range.address == address {
            Ok(range)
        } else {
            Err(CidrError::HostBits)
        }
    }
}

impl fmt::Display for Cidr {
    /// A single address is printed without its length.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_host() {
            self.address.fmt(f)
        } else {
            write!(f, "{}/{}", self.address, self.length)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_parse_print_and_contain() {
        let range: Cidr = "203.0.113.16/29".parse().unwrap();
        assert_eq!(range.to_string(), "203.0.113.16/29");
        assert!(range.contains("203.0.113.23".parse().unwrap()));
        assert!(!range.contains("203.0.113.24".parse().unwrap()));
        assert!(
            "::/0"
                .parse::<Cidr>()
                .unwrap()
                .contains("2001:db8::1".parse().unwrap())
        );
        assert!(
            !"0.0.0.0/0"
                .parse::<Cidr>()
                .unwrap()
                .contains("::1".parse().unwrap())
        );
        assert_eq!("2001:db8::4".parse::<Cidr>().unwrap().to_string(), "2001:db8::4");
    }

    #[test]
    fn the_addresses_of_a_range_are_counted_from_its_first() {
        let all = |text: &str| -> Vec<String> {
            let range: Cidr = text.parse().unwrap();
            range.addresses().take(3).map(|a| a.to_string()).collect()
        };
        assert_eq!(all("203.0.113.16/31"), ["203.0.113.16", "203.0.113.17"]);
        assert_eq!(all("203.0.113.16"), ["203.0.113.16"]);
        assert_eq!(all("0.0.0.0/0"), ["0.0.0.0", "0.0.0.1", "0.0.0.2"]);
        assert_eq!(all("2001:db8::4"), ["2001:db8::4"]);
        assert_eq!(all("::/0"), ["::", "::1", "::2"]);
        let last = "203.0.113.0/24".parse::<Cidr>().unwrap().addresses().last();
        assert_eq!(last, Some("203.0.113.255".parse().unwrap()));
    }

    #[test]
    fn nonsense_is_refused_with_a_reason() {
        assert_eq!("203.0.113.17/29".parse::<Cidr>(), Err(CidrError::HostBits));
        assert_eq!("203.0.113.0/33".parse::<Cidr>(), Err(CidrError::Length));
        assert_eq!("203.0.113/24".parse::<Cidr>(), Err(CidrError::Form));
        assert_eq!("".parse::<Cidr>(), Err(CidrError::Form));
    }
}
