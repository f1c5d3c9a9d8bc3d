//! The one place where the methods of a [`Backend`](crate::Backend) are written for those who hand
//! them on.

use std::future::Future;
use std::pin::Pin;

use crate::backend::BackendError;

/// What the methods of a [`Backend`](crate::Backend) come to, as its trait object sees them.
#[doc(hidden)]
pub type Forwarded<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

#[doc(hidden)]
pub type ForwardedResult<'a, T> = Forwarded<'a, Result<T, BackendError>>;

/// Writes methods of an `impl Backend` that do nothing but call the same method of another backend:
/// where that is, and the names of the methods.
///
/// They are named one by one, so that whoever wraps a backend says of each method whether it passes.
/// With `clippy::missing_trait_methods` denied, a method that a later version of the trait brings
/// cannot be forgotten. A method that is written like this costs nothing: it gives the other
/// backend's own future.
///
/// ```
/// use mcp_gw_core::{
///     Backend, BackendError, CallContext, ToolCall, ToolOutput, async_trait, forward_backend,
/// };
///
/// /// Does not call tools before noon.
/// struct Late<B> {
///     inner: B,
///     is_morning: fn() -> bool,
/// }
///
/// #[async_trait]
/// #[deny(clippy::missing_trait_methods)]
/// impl<B: Backend> Backend for Late<B> {
///     forward_backend!(|this| this.inner => name, offer_now, offer, arguments_in_effect,
///         read_resource, get_prompt, complete, task, watch_task, unwatch_task, subscribe, resubscribe, unsubscribe, watch,
///         check, renew, greet, end_session, roots_changed, close, unsupported);
///
///     async fn call_tool(
///         &self,
///         ctx: &CallContext,
///         call: ToolCall,
///     ) -> Result<ToolOutput, BackendError> {
///         if (self.is_morning)() {
///             return Ok(ToolOutput::error("come back after noon"));
///         }
///         self.inner.call_tool(ctx, call).await
///     }
/// }
/// ```
#[macro_export]
macro_rules! forward_backend {
    (|$this:ident| $inner:expr => $($method:ident),+ $(,)?) => {
        $($crate::forward_backend!(@ $method |$this| $inner);)+
    };
    (@ name |$this:ident| $inner:expr) => {
        fn name(&self) -> &str {
            let $this = self;
            $inner.name()
        }
    };
    (@ offer_now |$this:ident| $inner:expr) => {
        fn offer_now(&self) -> Option<$crate::Offer> {
            let $this = self;
            $inner.offer_now()
        }
    };
    (@ offer |$this:ident| $inner:expr) => {
        $crate::forward_backend!(@async |$this| $inner => offer() -> $crate::Offer);
    };
    (@ call_tool |$this:ident| $inner:expr) => {
        $crate::forward_backend!(@call |$this| $inner => call_tool(call: $crate::ToolCall)
            -> $crate::ToolOutput);
    };
    (@ arguments_in_effect |$this:ident| $inner:expr) => {
        fn arguments_in_effect(
            &self,
            tool: &str,
            arguments: &$crate::Arguments,
        ) -> Option<$crate::Arguments> {
            let $this = self;
            $inner.arguments_in_effect(tool, arguments)
        }
    };
    (@ read_resource |$this:ident| $inner:expr) => {
        $crate::forward_backend!(@call |$this| $inner => read_resource(read: $crate::ResourceRead)
            -> $crate::RawJson);
    };
    (@ get_prompt |$this:ident| $inner:expr) => {
        $crate::forward_backend!(@call |$this| $inner => get_prompt(get: $crate::PromptGet)
            -> $crate::RawJson);
    };
    (@ complete |$this:ident| $inner:expr) => {
        $crate::forward_backend!(@call |$this| $inner => complete(completion: $crate::Completion)
            -> $crate::RawJson);
    };
    (@ task |$this:ident| $inner:expr) => {
        $crate::forward_backend!(@call |$this| $inner => task(ask: $crate::TaskAsk)
            -> $crate::RawJson);
    };
    (@ watch_task |$this:ident| $inner:expr) => {
        $crate::forward_backend!(@about |$this| $inner => watch_task(task_id));
    };
    (@ subscribe |$this:ident| $inner:expr) => {
        $crate::forward_backend!(@about |$this| $inner => subscribe(uri));
    };
    (@ unwatch_task |$this:ident| $inner:expr) => {
        fn unwatch_task<'a, 'b, 'f>(&'a self, task_id: &'b str) -> $crate::Forwarded<'f, ()>
        where
            'a: 'f,
            'b: 'f,
            Self: 'f,
        {
            let $this = self;
            $inner.unwatch_task(task_id)
        }
    };
    (@ resubscribe |$this:ident| $inner:expr) => {
        fn resubscribe<'a, 'b, 'f>(&'a self, uri: &'b str) -> $crate::ForwardedResult<'f, ()>
        where
            'a: 'f,
            'b: 'f,
            Self: 'f,
        {
            let $this = self;
            $inner.resubscribe(uri)
        }
    };
    (@ unsubscribe |$this:ident| $inner:expr) => {
        fn unsubscribe<'a, 'b, 'c, 'f>(
            &'a self,
            uri: &'b str,
            client: Option<&'c $crate::ClientRef>,
        ) -> $crate::ForwardedResult<'f, ()>
        where
            'a: 'f,
            'b: 'f,
            'c: 'f,
            Self: 'f,
        {
            let $this = self;
            $inner.unsubscribe(uri, client)
        }
    };
    (@ watch |$this:ident| $inner:expr) => {
        fn watch(&self, listener: ::std::sync::Arc<dyn $crate::BackendListener>) {
            let $this = self;
            $inner.watch(listener);
        }
    };
    (@ check |$this:ident| $inner:expr) => {
        $crate::forward_backend!(@async |$this| $inner => check() -> ());
    };
    (@ renew |$this:ident| $inner:expr) => {
        fn renew(&self, reason: &str) {
            let $this = self;
            $inner.renew(reason);
        }
    };
    (@ greet |$this:ident| $inner:expr) => {
        fn greet(&self, client: &$crate::ClientRef) {
            let $this = self;
            $inner.greet(client);
        }
    };
    (@ end_session |$this:ident| $inner:expr) => {
        fn end_session(&self, session: &$crate::SessionKey) {
            let $this = self;
            $inner.end_session(session);
        }
    };
    (@ roots_changed |$this:ident| $inner:expr) => {
        fn roots_changed(&self, session: &$crate::SessionKey) {
            let $this = self;
            $inner.roots_changed(session);
        }
    };
    (@ close |$this:ident| $inner:expr) => {
        fn close<'a, 'f>(&'a self) -> $crate::Forwarded<'f, ()>
        where
            'a: 'f,
            Self: 'f,
        {
            let $this = self;
            $inner.close()
        }
    };
    (@ unsupported |$this:ident| $inner:expr) => {
        fn unsupported(&self, method: &'static str) -> $crate::BackendError {
            let $this = self;
            $inner.unsupported(method)
        }
    };
    // The shapes that several of them have.
    (@async |$this:ident| $inner:expr => $method:ident() -> $output:ty) => {
        fn $method<'a, 'f>(&'a self) -> $crate::ForwardedResult<'f, $output>
        where
            'a: 'f,
            Self: 'f,
        {
            let $this = self;
            $inner.$method()
        }
    };
    (@call |$this:ident| $inner:expr => $method:ident($what:ident: $kind:ty) -> $output:ty) => {
        fn $method<'a, 'b, 'f>(
            &'a self,
            ctx: &'b $crate::CallContext,
            $what: $kind,
        ) -> $crate::ForwardedResult<'f, $output>
        where
            'a: 'f,
            'b: 'f,
            Self: 'f,
        {
            let $this = self;
            $inner.$method(ctx, $what)
        }
    };
    (@about |$this:ident| $inner:expr => $method:ident($what:ident)) => {
        fn $method<'a, 'b, 'c, 'f>(
            &'a self,
            ctx: &'b $crate::CallContext,
            $what: &'c str,
        ) -> $crate::ForwardedResult<'f, ()>
        where
            'a: 'f,
            'b: 'f,
            'c: 'f,
            Self: 'f,
        {
            let $this = self;
            $inner.$method(ctx, $what)
        }
    };
}
