//! A part of the pipeline that can be another one from one request to the next.

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use mcp_gw_core::{
    Admission, Authenticator, AuthnError, Caller, Charge, Credentials, LimiterError, LimiterHealth,
    RateLimiter,
};

/// The part that there is now. Clones share it.
#[derive(Debug)]
pub(crate) struct Swap<T>(Arc<ArcSwap<T>>);

impl<T> Clone for Swap<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Swap<T> {
    pub(crate) fn new(part: T) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(part)))
    }

    /// What there is now; a request that holds it sees one version from beginning to end.
    pub(crate) fn now(&self) -> Arc<T> {
        self.0.load_full()
    }

    /// From now on it is `part`.
    pub(crate) fn put(&self, part: T) {
        self.0.store(Arc::new(part));
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<T: Authenticator> Authenticator for Swap<T> {
    async fn authenticate(&self, credentials: &Credentials) -> Result<Arc<Caller>, AuthnError> {
        // Not by way of the `Arc`, which would be one more future.
        T::authenticate(&self.now(), credentials).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<T: RateLimiter> RateLimiter for Swap<T> {
    async fn admit(&self, charge: &Charge<'_>) -> Result<Admission, LimiterError> {
        T::admit(&self.now(), charge).await
    }

    fn tells_items_apart(&self, charge: &Charge<'_>) -> bool {
        self.now().tells_items_apart(charge)
    }

    async fn admit_address(&self, addr: Option<IpAddr>) -> Result<Admission, LimiterError> {
        T::admit_address(&self.now(), addr).await
    }

    fn health(&self) -> LimiterHealth {
        RateLimiter::health(&*self.now())
    }
}
