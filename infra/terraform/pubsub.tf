locals {
  # Live changes, and everything that may wait: batches, continuations, replay at start, backfill. A
  # fresh tag never waits behind another repository's backfill.
  lanes = toset(["events", "bulk"])

  # 10 minutes are the longest a push delivery may take, whatever Cloud Run allows.
  # https://docs.cloud.google.com/pubsub/docs/push
  ack_deadline_seconds = 600

  # Rejected deliveries while all instances are busy count as attempts: healthy work must never
  # reach the limit. 100 is Pub/Sub's maximum; with the back-off below it is about 16 hours.
  max_delivery_attempts = 100

  # How far back a seek can go.
  topic_retention = "604800s" # 7 days

  # The job extends its leases itself while it works. Whoever reads by hand has the messages for as long as
  # this; they come back after it and the back-off of the retry policy, which the job that is to send them
  # again waits for.
  dead_letter_ack_deadline_seconds = 60

  pubsub_agent = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-pubsub.iam.gserviceaccount.com"
}

resource "google_pubsub_topic" "lane" {
  for_each = local.lanes

  project                    = var.project_id
  name                       = "${var.name}-${each.key}"
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

# Unwrapped, with metadata: the service receives what the bridge published, a CloudEvent in binary mode.
resource "google_pubsub_subscription" "lane" {
  for_each = local.lanes

  project                    = var.project_id
  name                       = "${var.name}-${each.key}"
  topic                      = google_pubsub_topic.lane[each.key].id
  ack_deadline_seconds       = local.ack_deadline_seconds
  message_retention_duration = local.topic_retention
  # The topic keeps what was acknowledged; keeping it twice would be paid twice.
  retain_acked_messages = false
  labels                = local.labels

  deletion_policy = local.deletion_policy

  push_config {
    push_endpoint = google_cloud_run_v2_service.mirror[each.key].uri
    oidc_token {
      service_account_email = google_service_account.push.email
      audience              = google_cloud_run_v2_service.mirror[each.key].uri
    }
    no_wrapper {
      write_metadata = true
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

  # Never: a quiet month is no reason to lose the subscription and what is in it.
  expiration_policy {
    ttl = ""
  }

  # Without these, the first deliveries are refused (403) or cannot be dead-lettered.
  depends_on = [
    google_cloud_run_v2_service_iam_member.push,
    google_pubsub_topic_iam_member.agent_dead_letter,
  ]
}

resource "google_pubsub_topic" "dead_letter" {
  project                    = var.project_id
  name                       = "${var.name}-dead-letter"
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

# A topic without a subscription drops what is published to it; this one keeps dead letters until
# somebody reads them: the runbook, or the job with --drain.
resource "google_pubsub_subscription" "dead_letter" {
  project                    = var.project_id
  name                       = "${var.name}-dead-letter"
  topic                      = google_pubsub_topic.dead_letter.id
  ack_deadline_seconds       = local.dead_letter_ack_deadline_seconds
  message_retention_duration = "2678400s" # 31 days, the maximum
  labels                     = local.labels

  deletion_policy = local.deletion_policy

  retry_policy {
    minimum_backoff = "10s"
    # A deadline that expires is followed by a back-off: before the job calls this empty it waits for the
    # sum of both and 10 s, 80 s here.
    maximum_backoff = "10s"
  }

  expiration_policy {
    ttl = ""
  }
}

# Pub/Sub's own service agent moves dead letters: it publishes to the one topic and acknowledges on
# the subscriptions. https://docs.cloud.google.com/pubsub/docs/dead-letter-topics
resource "google_pubsub_topic_iam_member" "agent_dead_letter" {
  project = var.project_id
  topic   = google_pubsub_topic.dead_letter.id
  role    = "roles/pubsub.publisher"
  member  = local.pubsub_agent
}

resource "google_pubsub_subscription_iam_member" "agent_lane" {
  for_each = local.lanes

  project      = var.project_id
  subscription = google_pubsub_subscription.lane[each.key].id
  role         = "roles/pubsub.subscriber"
  member       = local.pubsub_agent
}
