//! Mail: a text and an HTML part with the picture inside, threaded by incident, over a relay that is spoken to step by step, so
//! that it is known at which step it refused.

mod html;
mod letter;
mod session;
#[cfg(test)]
mod tests;

use crate::config::{SmtpConfig, SmtpTls};
use crate::delivery::{Message, Outcome};
use crate::guard::{Place, place};
use crate::http::unresolved;
use crate::notifier::Notifier;
use std::time::SystemTime;

/// Sends one mail to all recipients of the channel.
pub(crate) async fn deliver(notifier: &Notifier, config: &SmtpConfig, message: &Message<'_>) -> Outcome {
    let letter = match letter::build(config, message, &notifier.options.message_id_domain, SystemTime::now()) {
        Ok(letter) => letter,
        Err(error) => return Outcome::broken(format!("the mail cannot be written: {error}")),
    };
    let addresses = match notifier.guard(config.allow_private).resolve(&config.host, config.port).await {
        Ok(addresses) => addresses,
        Err(error) => return unresolved(&error),
    };
    let in_clear = config.tls == SmtpTls::None && config.login.is_some();
    if in_clear && addresses.iter().any(|address| place(address.ip()) == Place::Public) {
        return Outcome::broken(format!(
            "{} is on the internet: the password would travel in clear, set tls to \"starttls\" or \"tls\"",
            config.host
        ));
    }
    session::send(notifier, config, &addresses, &letter.formatted()).await
}
