//! Discord bots: listening for the channels that are configured with one, and doing what their buttons ask for.
//!
//! The connection, the answers and who may press are `notify`'s. A button pressed twice, or by two people, does its thing once.

use crate::acks;
use crate::app::App;
use crate::clock;
use crate::ids;
use crate::pipeline::Word;
use chrono::{DateTime, Utc};
use nightbell_alerts::{Ack, IncidentRecord, MuteKind};
use nightbell_model::Timestamp;
use nightbell_notify::{Action, Buttons, ChannelConfig, DiscordBot, Press, Pressed};
use nightbell_store::{Change, SilenceRow, StoreError};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// How often it is looked whether other bots are wanted than those that listen.
const LOOK: Duration = Duration::from_secs(3);
/// How long to wait before a bot that was turned down tries again; this doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// The longest of these waits.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// How long the button silences.
const SILENCE_MS: i64 = 3_600_000;

/// Keeps a bot listening for every channel that has one, whatever is configured meanwhile. Ends with the task.
pub(crate) async fn keep(app: Arc<App>) {
    let mut wanted = Vec::new();
    let mut tasks = JoinSet::new();
    loop {
        let now = bots(&app);
        if now != wanted {
            tasks.shutdown().await;
            for bot in &now {
                tasks.spawn(listen(bot.clone(), Arc::clone(&app)));
            }
            wanted = now;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The bots that are configured and in use.
fn bots(app: &App) -> Vec<DiscordBot> {
    let holdings = app.registry.read();
    let discord = holdings.channels.values().filter(|row| row.enabled && row.kind == "discord");
    let parsed = discord.filter_map(|row| ChannelConfig::parse(&row.kind, &serde_json::from_str(&row.config_json).ok()?).ok());
    DiscordBot::all(&parsed.collect::<Vec<_>>())
}

/// Listens for one bot until the task ends, and again after every failure.
async fn listen(bot: DiscordBot, app: Arc<App>) {
    let buttons: Arc<dyn Buttons> = Arc::new(HubButtons::new(Arc::clone(&app)));
    let mut pause = FIRST_PAUSE;
    loop {
        let begun = clock::boot_millis();
        if let Err(error) = bot.run(&app.notifier, Arc::clone(&buttons)).await {
            tracing::warn!(%error, "a Discord bot does not listen: its buttons are not answered");
        }
        let lasted = clock::boot_millis() - begun;
        let is_lasting = lasted > i64::try_from(LONGEST_PAUSE.as_millis()).unwrap_or(i64::MAX);
        pause = if is_lasting { FIRST_PAUSE } else { (pause * 2).min(LONGEST_PAUSE) };
        tokio::time::sleep(pause).await;
    }
}

/// The hub's side of the buttons.
#[derive(Debug)]
pub struct HubButtons {
    app: Arc<App>,
}

impl Buttons for HubButtons {
    fn press(&self, press: Press) -> Pressed<'_> {
        Box::pin(async move {
            self.done(&press).await.unwrap_or_else(|error| {
                tracing::warn!(error = &error as &dyn std::error::Error, "what a button asked for could not be done");
                "The hub could not do that: look into its log.".to_owned()
            })
        })
    }
}

impl HubButtons {
    /// Buttons that act on this hub.
    #[must_use]
    pub const fn new(app: Arc<App>) -> Self {
        Self { app }
    }

    async fn done(&self, press: &Press) -> Result<String, StoreError> {
        let Ok(id) = press.incident_id.parse() else { return Ok("This incident is not known.".to_owned()) };
        let found = self.app.read_state(move |store| store.incident(id)).await?;
        let Some((record, _)) = found else { return Ok("This incident is not known any more.".to_owned()) };
        match press.action {
            Action::Acknowledge => self.acknowledge(press, record).await,
            Action::SilenceHour => self.silence(press, record).await,
        }
    }

    async fn acknowledge(&self, press: &Press, record: IncidentRecord) -> Result<String, StoreError> {
        let what = self.name(&record);
        if record.resolved_at.is_some() {
            return Ok(format!("{what} is over already."));
        }
        let now = clock::now();
        if let Some(ack) = record.ack.as_ref().filter(|ack| ack.until.is_none_or(|until| until > now)) {
            return Ok(format!("{} is on {what} already.", ack.by));
        }
        let ack = Ack { by: press.by.clone(), at: now, note: String::new(), until: None };
        let audit = acks::by_button(&press.by, "incident.ack", record.id.to_string());
        Ok(match acks::acknowledge(&self.app, record.id, ack, audit).await {
            Word::Stored => format!("You are on {what}: no reminders until it is over."),
            Word::Unstored => format!(
                "You are on {what}: no reminders until it is over. The hub cannot write to its disk: should it be restarted before it \
                 can, this is forgotten."
            ),
            Word::NotOpen => format!("{what} is over already."),
            Word::Unheard => "The hub is stopping: press again in a minute.".to_owned(),
        })
    }

    async fn silence(&self, press: &Press, record: IncidentRecord) -> Result<String, StoreError> {
        let (what, now) = (self.name(&record), clock::now());
        let (rule, agent) = (record.key.rule, record.key.agent);
        let active = {
            let holdings = self.app.registry.read();
            if !holdings.rules.contains_key(&rule) || !holdings.agents.contains_key(&agent) {
                return Ok("There is nothing to silence any more.".to_owned());
            }
            let same = |row: &&SilenceRow| {
                (row.rule, row.agent) == (Some(rule), Some(agent)) && row.matchers.is_empty() && row.recurrence.is_none()
            };
            let narrower = |row: &&SilenceRow| row.tag.is_some() || row.series.is_some() || row.up_to.is_some();
            let running = |row: &&SilenceRow| row.starts_at <= now && now < row.ends_at;
            let silences = holdings.silences.values();
            silences.filter(same).filter(|row| !narrower(row)).filter(running).map(|row| row.ends_at).max()
        };
        if let Some(ends_at) = active {
            return Ok(format!("{what} is silent already, until {}.", self.wall(ends_at)));
        }
        let row = SilenceRow {
            id: ids::fresh(),
            kind: MuteKind::Silence,
            starts_at: now,
            ends_at: now.plus_millis(SILENCE_MS),
            recurrence: None,
            matchers: Vec::new(),
            rule: Some(rule),
            agent: Some(agent),
            tag: None,
            series: None,
            up_to: None,
            comment: "By the button on a page".to_owned(),
            created_by: press.by.clone(),
            created_at: now,
        };
        let (ends_at, audit) = (row.ends_at, acks::by_button(&press.by, "silence.create", row.id.to_string()));
        self.app.registry.apply(vec![Change::PutSilence(row)], Some(audit)).await?;
        Ok(format!("No pages of {what} until {}.", self.wall(ends_at)))
    }

    /// `CPU hot on db-01`.
    fn name(&self, record: &IncidentRecord) -> String {
        let holdings = self.app.registry.read();
        let agent = holdings.agents.get(&record.key.agent).map(|row| row.name.clone());
        agent.map_or_else(|| record.rule_name.clone(), |agent| format!("{} on {agent}", record.rule_name))
    }

    /// A moment on the clock of the people who are told times.
    fn wall(&self, at: Timestamp) -> String {
        let zone = self.app.registry.read().settings.timezone;
        let at = DateTime::<Utc>::from_timestamp_millis(at.as_millis()).unwrap_or_default();
        at.with_timezone(&zone).format("%H:%M:%S %Z").to_string()
    }
}
