# What the bridge's manifests and the runbooks need. An output waits for the permissions that make it useful.

output "project_id" {
  description = "Project of the topics: the bridge's --project."
  value       = var.project_id
}

output "destination_registry" {
  description = "Where images are mirrored to."
  value       = var.destination_registry
  depends_on  = [google_artifact_registry_repository_iam_member.destination_writer]
}

output "destination_layout" {
  description = "Layout of the destination: the bridge's --destination-layout."
  value       = coalesce(var.mirroring.layout, "host-path")
}

output "topics" {
  description = "Ids of the topics by lane: the bridge's --topic (events) and --bulk-topic (bulk)."
  value       = { for lane, topic in google_pubsub_topic.lane : lane => topic.name }
  depends_on  = [google_pubsub_topic_iam_member.bridge_publishes]
}

output "flux_events_topic" {
  description = "Id of the topic for Flux's own events: spec.channel of a googlepubsub Provider. Null unless accept_flux_events."
  value       = one(google_pubsub_topic.flux_events[*].name)
  depends_on  = [google_pubsub_topic_iam_member.flux_events_publish]
}

output "dead_letter_topic" {
  description = "Id of the topic for what could not be mirrored."
  value       = google_pubsub_topic.dead_letter.name
}

output "subscriptions" {
  description = "Ids of the push subscriptions by lane, for seek and snapshot."
  value       = { for lane, subscription in google_pubsub_subscription.lane : lane => subscription.name }
}

output "dead_letter_subscription" {
  description = "Id of the subscription that dead letters are read from: the job's --drain."
  value       = google_pubsub_subscription.dead_letter.name
}

output "services" {
  description = "Names of the Cloud Run services by lane."
  value       = { for lane, service in google_cloud_run_v2_service.mirror : lane => service.name }
}

output "job" {
  description = "Name of the Cloud Run job."
  value       = google_cloud_run_v2_job.mirror.name
}

output "image" {
  description = "Image that runs, by digest."
  value       = local.image
}

output "service_accounts" {
  description = "E-mails of the identities: mirror (services and job), push (Pub/Sub's calls)."
  value = {
    mirror = google_service_account.mirror.email
    push   = google_service_account.push.email
  }
}

output "bridge_service_account" {
  description = "E-mail that an annotated Kubernetes service account names (iam.gke.io/gcp-service-account). Null unless one of bridge_principals is annotated."
  value       = one(google_service_account.bridge[*].email)
  depends_on  = [google_service_account_iam_member.bridge_acts_as_account]
}

output "docker_config_secret" {
  description = "Id of the secret with the sources' docker config. Null without source_credentials."
  value       = local.docker_config_secret
}

output "egress_address" {
  description = "Address that sources see; allow it there. Null without a static address."
  value       = one(google_compute_address.egress[*].address)
}
