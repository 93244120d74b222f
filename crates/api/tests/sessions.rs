// SPDX-License-Identifier: Apache-2.0
//! Sessions by password, the integration port, XML, paths of commands and throttling, over real HTTP.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod common;

use common::{Answer, Served, agent, answered, encoded, text};
use outgate_api::{ServerConfig, serve_integration};
use outgate_manager::CommitError;
use outgate_model::id::SettingId;
use outgate_model::object::{Account, RoleType, Setting, SettingScope, User};

const PASSWORD: &str = " correct horse ";

/// A client with a cookie.
struct Browser<'a> {
    served: &'a Served,
    cookie: String,
    key: String,
}

/// Sends a query with headers; `Set-Cookie` comes back beside the answer.
async fn sent(url: String, headers: Vec<(&'static str, String)>) -> (Answer, Option<String>) {
    tokio::task::spawn_blocking(move || {
        let request = headers.iter().fold(agent().get(&url), |request, (name, value)| {
            request.header(*name, value)
        });
        let response = request.call();
        let cookie = response
            .as_ref()
            .ok()
            .and_then(|r| r.headers().get("set-cookie").cloned());
        let cookie = cookie.map(|value| value.to_str().unwrap().to_owned());
        (answered(response), cookie)
    })
    .await
    .unwrap()
}

async fn login(served: &Served, password: &str, more: &[(&str, &str)]) -> (Answer, Option<String>) {
    let own: &[(&str, &str)] = match more.iter().any(|(name, _)| *name == "username") {
        true => &[],
        false => &[("username", "admin")],
    };
    let pairs = [
        &[("command", "login"), ("password", password), ("response", "json")][..],
        own,
        more,
    ];
    sent(
        format!("{}?{}", served.url(), encoded(&pairs.concat())),
        Vec::new(),
    )
    .await
}

impl<'a> Browser<'a> {
    async fn new(served: &'a Served) -> Self {
        let (answer, cookie) = login(served, PASSWORD, &[]).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        Self {
            served,
            cookie: cookie.unwrap().split(';').next().unwrap().to_owned(),
            key: text(answer.inner(), "sessionkey").to_owned(),
        }
    }

    async fn call(&self, query: &str) -> Answer {
        self.call_with(query, &self.cookie, &self.key).await
    }

    async fn call_with(&self, query: &str, cookie: &str, key: &str) -> Answer {
        let url = format!("{}?{query}&response=json&sessionkey={key}", self.served.url());
        sent(url, vec![("cookie", format!("theme=dark; {cookie}"))])
            .await
            .0
    }
}

async fn with_password() -> Served {
    let served = Served::new(4).await;
    served.world.manager.set_admin_password(PASSWORD).await.unwrap();
    served
}

#[tokio::test(flavor = "multi_thread")]
async fn who_logs_in_calls_by_cookie_and_sessionkey_until_logging_out() {
    let served = with_password().await;
    let (answer, cookie) = login(&served, PASSWORD, &[("domain", "/")]).await;
    let inner = answer.inner();
    assert_eq!((answer.status, answer.key()), (200, "loginresponse"));
    for field in [
        "userid",
        "username",
        "account",
        "domainid",
        "firstname",
        "lastname",
        "type",
        "role",
        "timezone",
        "registered",
        "sessionkey",
    ] {
        assert!(inner[field].is_string(), "{field}: {inner}");
    }
    assert_eq!((&inner["timeout"], &inner["type"]), (&1800.into(), &"1".into()));
    let cookie = cookie.unwrap();
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"),
        "{cookie}"
    );

    let browser = Browser::new(&served).await;
    assert_eq!(browser.call("command=listZones").await.status, 200);
    let other = Browser::new(&served).await;
    for (cookie, key) in [
        ("", &*browser.key),
        (&*browser.cookie, ""),
        (&*browser.cookie, &*other.key),
        (&*other.cookie, &*browser.key),
        ("JSESSIONID=0", &*browser.key),
    ] {
        let answer = browser.call_with("command=listZones", cookie, key).await;
        assert_eq!(
            (answer.status, answer.key()),
            (401, "errorresponse"),
            "{cookie} {key}"
        );
    }
    let answer = browser.call("command=logout").await;
    assert_eq!((answer.status, answer.key()), (200, "logoutresponse"));
    assert_eq!(answer.inner()["description"], "success");
    assert_eq!(browser.call("command=listZones").await.status, 401);
    assert_eq!(other.call("command=listZones").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_tells_a_wrong_password_from_an_unknown_user_and_guessing_gets_slow() {
    let served = with_password().await;
    let (wrong, cookie) = login(&served, "correct horse", &[]).await;
    assert_eq!((wrong.status, wrong.key(), cookie), (531, "loginresponse", None));
    let said = text(wrong.inner(), "errortext").to_owned();
    assert!(said.contains("Failed to authenticate user admin") && said.contains("provide valid credentials"));
    let url = |name: &str| {
        let pairs = [
            ("command", "login"),
            ("username", name),
            ("password", "x"),
            ("response", "json"),
        ];
        format!("{}?{}", served.url(), encoded(&pairs))
    };
    let (unknown, _) = sent(url("nobody"), Vec::new()).await;
    assert_eq!(unknown.status, 531);
    assert_eq!(
        text(unknown.inner(), "errortext").replace("nobody", "admin"),
        said
    );
    let (elsewhere, _) = login(&served, PASSWORD, &[("domain", "/nowhere")]).await;
    assert_eq!(elsewhere.status, 531);
    let mut refused = None;
    for _ in 0..10 {
        let (answer, _) = sent(url("eve"), Vec::new()).await;
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
    }
    assert!(text(refused.expect("slowed down").inner(), "errortext").contains("try again"));
    assert_eq!(
        login(&served, PASSWORD, &[]).await.0.status,
        200,
        "others are not slowed down"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_a_user_who_was_disabled_ends() {
    let served = with_password().await;
    let browser = Browser::new(&served).await;
    served
        .world
        .manager
        .commit(|view, draft| {
            let user = view.all::<User>().next().unwrap();
            draft.update(
                user,
                User {
                    enabled: false,
                    ..User::clone(user)
                },
            );
            Ok::<_, CommitError>(())
        })
        .await
        .unwrap();
    assert_eq!(browser.call("command=listZones").await.status, 401);
    assert_eq!(login(&served, PASSWORD, &[]).await.0.status, 531);
    assert_eq!(served.call("listZones", &[]).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_may_be_named_by_the_path_but_not_of_a_signed_request() {
    let served = with_password().await;
    let browser = Browser::new(&served).await;
    let to = |path: &str, query: &str| {
        let url = format!(
            "{}/{path}?{query}&response=json&sessionkey={}",
            served.url(),
            browser.key
        );
        sent(url, vec![("cookie", browser.cookie.clone())])
    };
    assert_eq!(to("listZones", "").await.0.key(), "listzonesresponse");
    assert_eq!(to("listZones", "command=listzones").await.0.status, 200);
    assert_eq!(to("listZones", "command=listNetworks").await.0.status, 400);
    assert_eq!(to("noSuchCommand", "").await.0.status, 432);
    let signed = served.signed("listZones", &[]);
    let url = |path: &str, query: &str| format!("{}/{path}?{query}", served.url());
    assert_eq!(sent(url("listZones", &signed), Vec::new()).await.0.status, 200);
    assert_eq!(sent(url("listNetworks", &signed), Vec::new()).await.0.status, 400);
    let unnamed = signed.replace("command=listZones&", "");
    assert_eq!(sent(url("listZones", &unnamed), Vec::new()).await.0.status, 400);
    let (document, _) = sent(url("openapi.json", ""), Vec::new()).await;
    assert_eq!(document.body["openapi"], "3.1.0");
    assert!(document.body["paths"]["/client/api/createNetwork"]["post"].is_object());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_integration_port_needs_no_signature_and_no_browser_reaches_it() {
    let served = Served::new(4).await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let manager = served.world.manager.clone();
    tokio::spawn(serve_integration(
        listener,
        manager,
        ServerConfig::default(),
        std::future::pending(),
    ));
    let url = format!("http://127.0.0.1:{port}/client/api?command=listRouters&response=json");
    let ask = |headers| sent(url.clone(), headers);
    assert_eq!(ask(Vec::new()).await.0.key(), "listroutersresponse");
    for header in [
        ("origin", "http://evil.example"),
        ("sec-fetch-site", "cross-site"),
        ("host", "evil.example"),
    ] {
        let (answer, _) = ask(vec![(header.0, header.1.to_owned())]).await;
        assert_eq!(answer.status, 401, "{header:?}");
    }
    assert_eq!(ask(vec![("host", "[::1]:8096".to_owned())]).await.0.status, 200);
    assert_eq!(served.get("command=listRouters&response=json").await.status, 401);
    let open = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let manager = served.world.manager.clone();
    let refused = serve_integration(open, manager, ServerConfig::default(), std::future::pending()).await;
    assert!(refused.unwrap_err().to_string().contains("loopback"));
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_are_xml_unless_json_is_asked_for() {
    let served = Served::new(4).await;
    let xml = |query: String| {
        let url = format!("{}?{query}", served.url());
        tokio::task::spawn_blocking(move || {
            let mut response = agent().get(&url).call().unwrap();
            let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
            let body = response.body_mut().read_to_string().unwrap();
            (response.status().as_u16(), kind, body)
        })
    };
    let (status, kind, body) = xml(served.signed("listZones", &[("response", "xml")]))
        .await
        .unwrap();
    assert_eq!((status, kind.as_str()), (200, "text/xml; charset=UTF-8"));
    let start = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><listzonesresponse cloud-stack-version=\"4.";
    assert!(body.starts_with(start), "{body}");
    assert!(
        body.contains("<count>1</count>")
            && body.contains("<zone>")
            && body.ends_with("</zone></listzonesresponse>")
    );
    let unknown = uuid::Uuid::new_v4().to_string();
    let query = served.signed("listZones", &[("response", ""), ("id", &unknown)]);
    let (status, _, body) = xml(query).await.unwrap();
    assert!(
        status == 431 && body.contains("<errorcode>431</errorcode><errortext>Unable to execute"),
        "{body}"
    );
    let (status, _, body) = xml("command=listZones".to_owned()).await.unwrap();
    assert!(status == 401 && body.contains("<errorresponse "), "{body}");
    let json = served.get("command=listZones&RESPONSE=Json").await;
    assert_eq!(
        (json.status, json.content_type.as_str()),
        (401, "application/json; charset=UTF-8")
    );
}

/// A user of an account of its own, who is no admin.
async fn bob(served: &Served) {
    let hash = outgate_manager::password::hash(PASSWORD).await.unwrap();
    let domain = served.world.admin.domain;
    let made = served.world.manager.commit(|_, draft| {
        let account = Account::new(draft.number("account"), "bob", domain, RoleType::User);
        let mut user = User::new(account.id, "bob");
        user.password_hash = Some(hash.clone());
        draft.create(&account);
        draft.create(&user);
        Ok::<_, CommitError>(())
    });
    made.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_calls_too_often_is_told_to_wait() {
    let served = with_password().await;
    bob(&served).await;
    let (answer, cookie) = login(&served, PASSWORD, &[("username", "bob")]).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let bob = Browser {
        served: &served,
        cookie: cookie.unwrap().split(';').next().unwrap().to_owned(),
        key: text(answer.inner(), "sessionkey").to_owned(),
    };
    for (name, value) in [
        ("api.throttling.max", "5"),
        ("api.throttling.interval", "3600"),
        ("api.throttling.enabled", "true"),
    ] {
        let scope = SettingScope::Global;
        let setting = Setting {
            id: SettingId::of(scope, name),
            name: name.to_owned(),
            scope,
            value: value.to_owned(),
        };
        let set = served.world.manager.commit(|_, draft| {
            draft.create(&setting);
            Ok::<_, CommitError>(())
        });
        set.await.unwrap();
    }
    for _ in 0..5 {
        assert_eq!(bob.call("command=listZones").await.status, 200);
    }
    let refused = bob.call("command=listZones").await;
    assert_eq!(
        (refused.status, refused.inner()["errorcode"].as_u64()),
        (429, Some(429))
    );
    assert!(text(refused.inner(), "errortext").contains("has reached his/her account api limit"));
    for _ in 0..10 {
        assert_eq!(
            served.call("listZones", &[]).await.status,
            200,
            "an admin is not limited"
        );
    }
}
