//! Where Konnect is.

use std::fmt;
use std::str::FromStr;

/// The address of what belongs to no region.
pub(crate) const GLOBAL: &str = "https://global.api.konghq.com";

/// A region of Konnect. What is in one is not seen in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Region {
    /// United States.
    #[default]
    Us,
    /// Europe.
    Eu,
    /// Australia.
    Au,
    /// Middle East.
    Me,
    /// India.
    In,
    /// Singapore.
    Sg,
}

/// A region that Konnect does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no such region; there are: us, eu, au, me, in, sg")]
#[non_exhaustive]
pub struct UnknownRegion;

impl Region {
    /// All regions.
    pub const ALL: [Self; 6] = [Self::Us, Self::Eu, Self::Au, Self::Me, Self::In, Self::Sg];

    /// Its name in addresses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Us => "us",
            Self::Eu => "eu",
            Self::Au => "au",
            Self::Me => "me",
            Self::In => "in",
            Self::Sg => "sg",
        }
    }

    /// The address of its APIs.
    pub const fn url(self) -> &'static str {
        match self {
            Self::Us => "https://us.api.konghq.com",
            Self::Eu => "https://eu.api.konghq.com",
            Self::Au => "https://au.api.konghq.com",
            Self::Me => "https://me.api.konghq.com",
            Self::In => "https://in.api.konghq.com",
            Self::Sg => "https://sg.api.konghq.com",
        }
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Region {
    type Err = UnknownRegion;

    fn from_str(text: &str) -> Result<Self, UnknownRegion> {
        let text = text.trim();
        Self::ALL
            .into_iter()
            .find(|region| region.as_str().eq_ignore_ascii_case(text))
            .ok_or(UnknownRegion)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_region_has_its_name_in_its_address() {
        for region in Region::ALL {
            let wanted = format!("https://{region}.api.konghq.com");
            assert_eq!(region.url(), wanted);
            assert_eq!(format!(" {region} ").to_uppercase().parse(), Ok(region));
        }
        assert_eq!("mars".parse::<Region>(), Err(UnknownRegion));
        assert_eq!(Region::default(), Region::Us);
    }
}
