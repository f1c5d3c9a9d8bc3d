//! Which credentials are over, and which keys may end others.

use super::*;

#[tokio::test]
async fn a_caller_is_current_until_its_token_or_key_is_ended() {
    let case = Case::new().await;
    case.user("ann").await;
    let (one, two) = (case.login("ann").await, case.login("ann").await);
    let (one_caller, two_caller) = (
        case.id().check(&one).await.unwrap(),
        case.id().check(&two).await.unwrap(),
    );
    assert!(!has_same_rights(&one_caller, &two_caller));
    assert!(crate::authn::is_alike(&one_caller, &two_caller));
    case.id().logout(&one).await.unwrap();
    assert!(!case.id().is_current(&one_caller).await.unwrap());
    assert!(case.id().is_current(&two_caller).await.unwrap());
    // The text that a key had before it was exchanged is another one.
    let key = case.key("ann", &["tools:call"]).await;
    let caller = case.id().check(&key.text).await.unwrap();
    assert!(case.id().is_current(&caller).await.unwrap());
    let ann = Principal::of(&two_caller).unwrap();
    case.id().rotate_key(&ann, key.key.id, None).await.unwrap();
    assert!(!case.id().is_current(&caller).await.unwrap());
}

#[tokio::test]
async fn what_a_caller_came_with_has_an_end() {
    let case = Case::new().await;
    let token = case.login("admin").await;
    let caller = case.id().check(&token).await.unwrap();
    let end = Identity::until(&caller).unwrap();
    assert!(end > case.id().time());
    // As long as the token is good, and no longer.
    case.clock.advance(Duration::from_secs(30 * 60));
    case.id().check(&token).await.unwrap();
    assert!(end > case.id().time());
    case.clock.advance(token::LEEWAY + Duration::from_secs(1));
    case.refused(&token).await;
    assert!(end <= case.id().time());
    let key = case.key("admin", &[]).await;
    let caller = case.id().check(&key.text).await.unwrap();
    assert_eq!(Identity::until(&caller), key.key.expires_at);
    let foreign = Caller::new(CallerKind::User, "x").with_claims(caller.claims.clone());
    assert_eq!(Identity::until(&foreign), None);
}

#[tokio::test]
async fn a_key_ends_no_key_that_can_do_more() {
    let case = Case::new().await;
    let strong = case.key("admin", &["admin"]).await;
    let weak = case.key("admin", &["tools:call"]).await;
    let none = case.key("admin", &[]).await;
    let principal = async |key: &IssuedKey| {
        let caller = case.id().check(&key.text).await.unwrap();
        Principal::of(&caller).unwrap()
    };
    let by_none = principal(&none).await;
    let by_weak = principal(&weak).await;
    for (by, key) in [(&by_none, &strong), (&by_none, &weak), (&by_weak, &strong)] {
        let id = key.key.id;
        for refused in [
            case.id().revoke_key(by, id).await.map(|_| ()),
            case.id().delete_key(by, id).await,
            case.id().rotate_key(by, id, None).await.map(|_| ()),
        ] {
            let refused = refused.unwrap_err();
            assert!(
                matches!(refused, IdentityError::Forbidden { .. }),
                "{refused:?}"
            );
        }
        case.id().check(&key.text).await.unwrap();
    }
    // One that can do less, and itself.
    case.id().revoke_key(&by_weak, none.key.id).await.unwrap();
    case.id().delete_key(&by_weak, weak.key.id).await.unwrap();
    let by_strong = principal(&strong).await;
    case.id()
        .rotate_key(&by_strong, strong.key.id, None)
        .await
        .unwrap();
}

#[tokio::test]
async fn users_end_their_own_keys_though_they_have_lost_scopes() {
    let case = Case::new().await;
    let mut eve = NewAccount::new("eve", secret(PASSWORD));
    eve.is_superuser = true;
    let eve = case.id().create_user(eve).await.unwrap();
    let key = case.key("eve", &["admin"]).await;
    let mut change = AccountChange::new();
    change.is_superuser = Edit::Set(false);
    case.id().update_user(eve.id, None, change).await.unwrap();
    let by = case.principal("eve").await;
    case.id()
        .rotate_key(&by, key.key.id, None)
        .await
        .unwrap_err();
    case.id().revoke_key(&by, key.key.id).await.unwrap();
    case.id().delete_key(&by, key.key.id).await.unwrap();
}
