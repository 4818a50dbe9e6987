//! Enrolling a simulated fleet at a real hub.

use crate::support::agents::Identity;
use crate::support::api::http;
use crate::support::house::House;

/// Enrols so many agents, some at a time.
pub(crate) async fn enrol(house: &House, agents: usize) -> Vec<Identity> {
    let token = house.enrolment(u32::try_from(agents).unwrap());
    let client = http();
    let mut identities = Vec::with_capacity(agents);
    let numbers: Vec<usize> = (0..agents).collect();
    for some in numbers.chunks(32) {
        let mut asking = tokio::task::JoinSet::new();
        for number in some {
            let body = serde_json::json!({"hostname": format!("host-{number}"), "interval_ms": 15_000});
            let request = client.post(format!("{}/api/v1/nodes", house.hub.url)).bearer_auth(&token).json(&body);
            asking.spawn(async move { request.send().await.unwrap().json::<serde_json::Value>().await.unwrap() });
        }
        for answer in asking.join_all().await {
            let text = |field: &str| answer[field].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
            identities.push(Identity { id: text("node_id"), credential: text("credential") });
        }
    }
    identities
}
