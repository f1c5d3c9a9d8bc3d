//! Requests about control planes.

use bytes::Bytes;
use http::Request;

use crate::http::{RequestError, Target};

const PLANES: &str = "/v2/control-planes";

/// What a list of control planes is asked for. What is not set is not sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
#[must_use]
pub struct PlaneParams {
    /// The page, from 1.
    pub number: Option<u32>,
    /// Control planes a page.
    pub size: Option<u32>,
    /// Only what is called so.
    pub name: Option<String>,
    /// Only what has this in its name.
    pub name_contains: Option<String>,
    /// Only control planes of a type: `CLUSTER_TYPE_CONTROL_PLANE_GROUP`.
    pub cluster_type: Option<String>,
    /// Labels: `key:value,key`.
    pub labels: Option<String>,
    /// What they are ordered by: `created_at desc`.
    pub sort: Option<String>,
}

impl PlaneParams {
    /// Sets the page, from 1.
    pub const fn with_number(mut self, number: u32) -> Self {
        self.number = Some(number);
        self
    }

    /// Sets how many control planes a page has.
    pub const fn with_size(mut self, size: u32) -> Self {
        self.size = Some(size);
        self
    }

    /// Asks only for what is called so.
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Asks only for what has this in its name.
    pub fn with_name_contains(mut self, part: impl Into<String>) -> Self {
        self.name_contains = Some(part.into());
        self
    }

    pub(crate) fn request(&self) -> Result<Request<Bytes>, RequestError> {
        let number = |value: Option<u32>| value.map(|value| value.to_string());
        Target::at(PLANES)
            .query_if("page[size]", number(self.size).as_deref())?
            .query_if("page[number]", number(self.number).as_deref())?
            .query_if("filter[name][eq]", self.name.as_deref())?
            .query_if("filter[name][contains]", self.name_contains.as_deref())?
            .query_if("filter[cluster_type][eq]", self.cluster_type.as_deref())?
            .query_if("labels", self.labels.as_deref())?
            .query_if("sort", self.sort.as_deref())?
            .get()
    }
}

/// What is at, or below, a control plane.
pub(crate) fn at(id: &str, below: &'static str) -> Result<Target, RequestError> {
    Ok(Target::at(PLANES)
        .segment("control_plane_id", id)?
        .then(below))
}

/// A page of what is below a control plane.
pub(crate) fn page_of(
    target: Target,
    size: u32,
    after: Option<&str>,
) -> Result<Request<Bytes>, RequestError> {
    target
        .query("page[size]", &size.to_string())?
        .query_if("page[after]", after)?
        .get()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::http::{BaseUrl, hostile};

    #[test]
    fn filters_are_whole_parameters() {
        let params = PlaneParams::default()
            .with_size(100)
            .with_number(2)
            .with_name("a&filter[id][eq]=b");
        assert_eq!(
            params.request().unwrap().uri(),
            "/v2/control-planes?page%5Bsize%5D=100&page%5Bnumber%5D=2&filter%5Bname%5D%5Beq%5D=a%26filter%5Bid%5D%5Beq%5D%3Db"
        );
        assert!(at("../x", "").is_err());
    }

    proptest! {
        #[test]
        fn a_filter_and_a_cursor_stay_one_parameter(name in hostile(), part in hostile(), after in hostile()) {
            let base: BaseUrl = "https://eu.api.konghq.com".parse().unwrap();
            let params = PlaneParams::default().with_name(&*name).with_name_contains(&*part);
            let url = base.join(params.request().unwrap().uri()).unwrap();
            prop_assert_eq!(url.path(), PLANES);
            let pairs: Vec<_> = url.query_pairs().collect();
            let wanted = [("filter[name][eq]".into(), name.into()), ("filter[name][contains]".into(), part.into())];
            prop_assert_eq!(&pairs[..], &wanted[..]);
            let url = base.join(page_of(Target::at("/x"), 7, Some(&after)).unwrap().uri()).unwrap();
            let pairs: Vec<_> = url.query_pairs().collect();
            let wanted = [("page[size]".into(), "7".into()), ("page[after]".into(), after.into())];
            prop_assert_eq!((url.path(), &pairs[..]), ("/x", &wanted[..]));
        }
    }
}
