# The weaker input, for teams that run no bridge: events of Flux's notification-controller (provider
# googlepubsub). They carry no attributes, so they come wrapped, by a topic of their own.

resource "google_pubsub_topic" "flux_events" {
  count = var.accept_flux_events ? 1 : 0

  project                    = var.project_id
  name                       = "${var.name}-flux-events"
  message_retention_duration = local.topic_retention
  kms_key_name               = var.kms_key_name
  labels                     = local.labels

  deletion_policy = local.deletion_policy

  dynamic "message_storage_policy" {
    for_each = length(var.allowed_persistence_regions) == 0 ? [] : [1]
    content {
      allowed_persistence_regions = var.allowed_persistence_regions
    }
  }

  depends_on = [google_project_service.this, google_kms_crypto_key_iam_member.agent]
}

resource "google_pubsub_subscription" "flux_events" {
  count = var.accept_flux_events ? 1 : 0

  project                    = var.project_id
  name                       = "${var.name}-flux-events"
  topic                      = google_pubsub_topic.flux_events[0].id
  ack_deadline_seconds       = local.ack_deadline_seconds
  message_retention_duration = local.topic_retention
  retain_acked_messages      = false
  labels                     = local.labels

  deletion_policy = local.deletion_policy

  # No no_wrapper: the message id and the time are only in the wrapper.
  push_config {
    push_endpoint = google_cloud_run_v2_service.mirror["events"].uri
    oidc_token {
      service_account_email = google_service_account.push.email
      audience              = google_cloud_run_v2_service.mirror["events"].uri
    }
  }

  retry_policy {
    minimum_backoff = "10s"
    maximum_backoff = "600s"
  }

  dead_letter_policy {
    dead_letter_topic     = google_pubsub_topic.dead_letter.id
    max_delivery_attempts = local.max_delivery_attempts
  }

  expiration_policy {
    ttl = ""
  }

  depends_on = [
    google_cloud_run_v2_service_iam_member.push,
    google_pubsub_topic_iam_member.agent_dead_letter,
  ]
}

resource "google_pubsub_subscription_iam_member" "agent_flux_events" {
  count = var.accept_flux_events ? 1 : 0

  project      = var.project_id
  subscription = google_pubsub_subscription.flux_events[0].id
  role         = "roles/pubsub.subscriber"
  member       = local.pubsub_agent
}

resource "google_pubsub_topic_iam_member" "flux_events_publish" {
  for_each = var.accept_flux_events ? local.flux_event_members : {}

  project = var.project_id
  topic   = google_pubsub_topic.flux_events[0].id
  role    = "roles/pubsub.publisher"
  member  = each.value
}
