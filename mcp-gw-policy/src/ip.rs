//! Addresses by CIDR.

use std::net::IpAddr;

/// Some blocks of addresses.
#[derive(Debug)]
pub(crate) struct Cidrs(Vec<(IpAddr, u8)>);

impl Cidrs {
    /// Reads blocks; a fault says which of them, what is wrong, and what to do.
    pub(crate) fn parse(texts: &[String]) -> Result<Self, Vec<(usize, String, String)>> {
        let mut blocks = Vec::new();
        let mut faults = Vec::new();
        for (at, text) in texts.iter().enumerate() {
            match block(text) {
                Ok(block) => blocks.push(block),
                Err((message, help)) => faults.push((at, message, help)),
            }
        }
        if faults.is_empty() {
            Ok(Self(blocks))
        } else {
            Err(faults)
        }
    }

    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0
            .iter()
            .any(|(block, length)| network(address, *length) == network(*block, *length))
    }
}

fn block(text: &str) -> Result<(IpAddr, u8), (String, String)> {
    let fault = |why: &str| {
        let message = format!(
            "{} is no block of addresses: {why}",
            crate::fault::shown(text)
        );
        (
            message,
            "write an address, or a block such as `10.0.0.0/8` or `2001:db8::/32`".to_owned(),
        )
    };
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    let address: IpAddr = address
        .parse()
        .map_err(|_| fault("the address cannot be read"))?;
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let length: u8 = match length {
        None => bits,
        Some(length) => length
            .parse()
            .map_err(|_| fault("the length is no number"))?,
    };
    if length > bits {
        return Err(fault("it is longer than the address"));
    }
    if network(address, length) != Some(value(address)) {
        return Err(fault("bits are set after the prefix"));
    }
    // ::ffff:0:0/96 and what is in it are IPv4.
    match address {
        IpAddr::V6(six) if length >= 96 => match six.to_ipv4_mapped() {
            Some(four) => Ok((IpAddr::V4(four), length - 96)),
            None => Ok((address, length)),
        },
        _ => Ok((address, length)),
    }
}

fn value(address: IpAddr) -> (bool, u128) {
    match address {
        IpAddr::V4(four) => (true, u128::from(u32::from(four))),
        IpAddr::V6(six) => (false, u128::from(six)),
    }
}

fn network(address: IpAddr, length: u8) -> Option<(bool, u128)> {
    let (four, value) = value(address);
    let bits: u32 = if four { 32 } else { 128 };
    let host = bits.checked_sub(u32::from(length))?;
    let mask = u128::MAX.checked_shl(host).unwrap_or(0);
    Some((four, value & mask))
}
