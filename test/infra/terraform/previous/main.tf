# What the module's earlier version made and today's has at other addresses, or with arguments that make a
# resource anew: what an upgrade finds in the state. Nothing else of it.

variable "project_id" { type = string }
variable "region" { type = string }
variable "image" { type = string }
variable "destination_registry" { type = string }
variable "allowed_sources" { type = list(string) }
variable "source_credentials" { type = any }
variable "accept_flux_events" { type = bool }
variable "bridge_principals" { type = any }
variable "flux_event_principals" { type = any }

locals {
  name   = "imagerepo-mirror"
  labels = { app = "imagerepo-mirror", managed-by = "terraform" }
  lanes  = toset(["events", "bulk"])
  member = "principal://iam.googleapis.com/projects/%s/locations/global/workloadIdentityPools/%s.svc.id.goog/subject/ns/%s/sa/%s"

  # By cluster, as grants were kept.
  bridge_members = merge(
    { for cluster, one in var.bridge_principals : cluster => format(local.member, one.project_number, one.project_id, "imagerepo-mirror", "imagerepo-mirror-bridge") if !try(one.annotated, false) },
    { "annotated service account" = google_service_account.bridge[0].member },
  )
  bridge_grants = {
    for pair in setproduct(keys(local.bridge_members), local.lanes) : "${pair[0]}/${pair[1]}" => { member = local.bridge_members[pair[0]], lane = pair[1] }
  }
}

resource "google_project_service" "this" {
  for_each = toset(["artifactregistry", "iam", "logging", "monitoring", "pubsub", "run", "secretmanager"])

  project            = var.project_id
  service            = "${each.key}.googleapis.com"
  disable_on_destroy = false
}

resource "google_secret_manager_secret" "docker_config" {
  count = 1

  project             = var.project_id
  secret_id           = "${local.name}-docker-config"
  labels              = local.labels
  deletion_protection = true

  replication {
    auto {}
  }

  depends_on = [google_project_service.this]
}

resource "google_secret_manager_secret_version" "docker_config" {
  count = 1

  secret          = google_secret_manager_secret.docker_config[0].id
  secret_data     = jsonencode({ auths = {} })
  deletion_policy = "ABANDON"
}

resource "google_pubsub_topic" "lane" {
  for_each = local.lanes

  project                    = var.project_id
  name                       = "${local.name}-${each.key}"
  message_retention_duration = "604800s"
  labels                     = local.labels
  deletion_policy            = "PREVENT"

  depends_on = [google_project_service.this]
}

resource "google_pubsub_topic" "flux_events" {
  count = 1

  project                    = var.project_id
  name                       = "${local.name}-flux-events"
  message_retention_duration = "604800s"
  labels                     = local.labels
  deletion_policy            = "PREVENT"

  depends_on = [google_project_service.this]
}

resource "google_pubsub_topic" "dead_letter" {
  project                    = var.project_id
  name                       = "${local.name}-dead-letter"
  message_retention_duration = "604800s"
  labels                     = local.labels
  deletion_policy            = "PREVENT"

  depends_on = [google_project_service.this]
}

resource "google_pubsub_subscription" "dead_letter" {
  project                    = var.project_id
  name                       = "${local.name}-dead-letter"
  topic                      = google_pubsub_topic.dead_letter.id
  ack_deadline_seconds       = 600
  message_retention_duration = "2678400s"
  labels                     = local.labels
  deletion_policy            = "PREVENT"

  retry_policy {
    minimum_backoff = "10s"
    maximum_backoff = "600s"
  }

  expiration_policy {
    ttl = ""
  }
}

resource "google_service_account" "mirror" {
  project      = var.project_id
  account_id   = "${local.name}-mirror"
  display_name = "${local.name}: services and job"

  depends_on = [google_project_service.this]
}

resource "google_service_account" "bridge" {
  count = 1

  project      = var.project_id
  account_id   = "${local.name}-bridge"
  display_name = "${local.name}: bridges with an annotated service account"

  depends_on = [google_project_service.this]
}

resource "google_pubsub_subscription_iam_member" "mirror_drain" {
  project      = var.project_id
  subscription = google_pubsub_subscription.dead_letter.id
  role         = "roles/pubsub.subscriber"
  member       = google_service_account.mirror.member
}

resource "google_pubsub_topic_iam_member" "bridge_publisher" {
  for_each = local.bridge_grants

  project = var.project_id
  topic   = google_pubsub_topic.lane[each.value.lane].id
  role    = "roles/pubsub.publisher"
  member  = each.value.member
}

resource "google_service_account_iam_member" "bridge" {
  for_each = { for cluster, one in var.bridge_principals : cluster => one if try(one.annotated, false) }

  service_account_id = google_service_account.bridge[0].name
  role               = "roles/iam.workloadIdentityUser"
  member             = "serviceAccount:${each.value.project_id}.svc.id.goog[imagerepo-mirror/imagerepo-mirror-bridge]"
}

resource "google_pubsub_topic_iam_member" "flux_events_publisher" {
  for_each = var.flux_event_principals

  project = var.project_id
  topic   = google_pubsub_topic.flux_events[0].id
  role    = "roles/pubsub.publisher"
  member  = format(local.member, each.value.project_number, each.value.project_id, "flux-system", "notification-controller")
}
