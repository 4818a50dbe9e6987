//! Where a channel's messages go at Discord, and by what right: a webhook, whose URL is the secret, or a bot with its token.

use crate::config::DiscordTarget;
use url::Url;

/// Hosts whose webhook URLs all lead to the same API.
const HOSTS: [&str; 4] = ["discord.com", "discordapp.com", "ptb.discord.com", "canary.discord.com"];
/// The version of the API that we speak.
const API: &str = "/api/v10";

/// A place for messages.
pub(super) struct Endpoint {
    /// Where messages are posted; their own addresses lie below.
    url: Url,
    /// The token, in the URL or beside it.
    secret: String,
    is_bot: bool,
}

impl Endpoint {
    /// Discord's own URLs lead to the API at `base`, others (a proxy) are taken as they are.
    pub(super) fn of(target: &DiscordTarget, base: &Url) -> Option<Self> {
        match target {
            DiscordTarget::Bot { token, channel } => {
                let url = base.join(&format!("{API}/channels/{channel}/messages")).ok()?;
                Some(Self { url, secret: token.expose().to_owned(), is_bot: true })
            }
            DiscordTarget::Webhook(url) => {
                let configured = Url::parse(url.expose()).ok()?;
                let (id, token) = webhook_path(&configured)?;
                let is_discord = configured.host_str().is_some_and(|host| HOSTS.contains(&host));
                let mut url =
                    if is_discord { base.join(&format!("{API}/webhooks/{id}/{token}")).ok()? } else { configured.clone() };
                url.set_fragment(None);
                let own = ["wait", "with_components"];
                let kept = configured.query_pairs().filter(|(name, _)| !own.contains(&name.as_ref()));
                let kept: Vec<(String, String)> = kept.map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
                url.query_pairs_mut().clear().extend_pairs(kept);
                Some(Self { url, secret: token, is_bot: false })
            }
        }
    }

    /// Where to post, or where the message called `id` is.
    pub(super) fn url(&self, id: Option<&str>) -> Url {
        let mut url = self.url.clone();
        if let Some(id) = id {
            let below = if self.is_bot { format!("{}/{id}", url.path()) } else { format!("{}/messages/{id}", url.path()) };
            url.set_path(&below.replace("//", "/"));
        }
        if !self.is_bot {
            // A posted message is answered with the message, and link buttons are shown, only if both are asked for.
            let mut query = url.query_pairs_mut();
            if id.is_none() {
                query.append_pair("wait", "true");
            }
            query.append_pair("with_components", "true");
        }
        if url.query() == Some("") {
            url.set_query(None);
        }
        url
    }

    pub(super) fn host(&self) -> String {
        self.url.host_str().unwrap_or_default().to_owned()
    }

    /// The text that no error shows.
    pub(super) fn secret(&self) -> &str {
        &self.secret
    }

    /// The header that a bot introduces itself with.
    pub(super) fn authorization(&self) -> Option<String> {
        self.is_bot.then(|| format!("Bot {}", self.secret))
    }

    /// Whether buttons that do something can be answered there: a webhook carries links only.
    pub(super) const fn has_buttons(&self) -> bool {
        self.is_bot
    }
}

/// Id and token of a webhook's URL.
pub(crate) fn webhook_path(url: &Url) -> Option<(String, String)> {
    let segments: Vec<&str> = url.path_segments()?.filter(|segment| !segment.is_empty()).collect();
    match segments.as_slice() {
        [.., "webhooks", id, token] => Some(((*id).to_owned(), (*token).to_owned())),
        _ => None,
    }
}
