# Who may do what. Each identity has what its work needs, on the one resource it needs it on; none has a
# role on the project, but for telemetry's.

# --- push: Pub/Sub, when it calls the services

resource "google_service_account" "push" {
  project      = var.project_id
  account_id   = "${var.name}-push"
  display_name = "${var.name}: Pub/Sub push"

  depends_on = [google_project_service.this]
}

resource "google_cloud_run_v2_service_iam_member" "push" {
  for_each = local.lanes

  project  = var.project_id
  location = var.region
  name     = google_cloud_run_v2_service.mirror[each.key].name
  role     = "roles/run.invoker"
  member   = google_service_account.push.member
}

# Projects from before April 2021 need this for the token of a push; in later ones it is harmless.
# https://docs.cloud.google.com/pubsub/docs/authenticate-push-subscriptions
resource "google_service_account_iam_member" "agent_push_token" {
  service_account_id = google_service_account.push.name
  role               = "roles/iam.serviceAccountTokenCreator"
  member             = local.pubsub_agent

  # The first topic of a project makes the agent.
  depends_on = [google_pubsub_topic.dead_letter]
}

# --- mirror: the services and the job

resource "google_service_account" "mirror" {
  project      = var.project_id
  account_id   = "${var.name}-mirror"
  display_name = "${var.name}: services and job"

  depends_on = [google_project_service.this]
}

resource "google_artifact_registry_repository_iam_member" "destination_writer" {
  project    = local.destination.project
  location   = local.destination.location
  repository = local.destination_repository_id
  role       = "roles/artifactregistry.writer"
  member     = google_service_account.mirror.member
}

resource "google_artifact_registry_repository_iam_member" "source_reader" {
  for_each = toset(var.source_repositories)

  project    = split("/", each.key)[1]
  location   = split("/", each.key)[3]
  repository = split("/", each.key)[5]
  role       = "roles/artifactregistry.reader"
  member     = google_service_account.mirror.member
}

# Batches and continuations go to the bulk lane, as do dead letters that are republished; what can never
# succeed goes to the dead letters. Nothing of the mirror's publishes to the lane of live changes.
resource "google_pubsub_topic_iam_member" "mirror_publisher" {
  for_each = {
    bulk        = google_pubsub_topic.lane["bulk"].id
    dead-letter = google_pubsub_topic.dead_letter.id
  }

  project = var.project_id
  topic   = each.value
  role    = "roles/pubsub.publisher"
  member  = google_service_account.mirror.member
}

# The one subscription that the job drains. A subscriber may pull and acknowledge; to read what it is (its
# topic, its acknowledgement deadline) takes a viewer.
resource "google_pubsub_subscription_iam_member" "mirror_drain" {
  for_each = toset(["roles/pubsub.subscriber", "roles/pubsub.viewer"])

  project      = var.project_id
  subscription = google_pubsub_subscription.dead_letter.id
  role         = each.key
  member       = google_service_account.mirror.member
}

# Hand-off: start the one job with an event, and see what runs already. Never run.developer, which could
# put another image into the job.
resource "google_cloud_run_v2_job_iam_member" "mirror" {
  for_each = toset(["roles/run.jobsExecutorWithOverrides", "roles/run.viewer"])

  project  = var.project_id
  location = var.region
  name     = google_cloud_run_v2_job.mirror.name
  role     = each.key
  member   = google_service_account.mirror.member
}

# https://docs.cloud.google.com/stackdriver/docs/otlp-metrics/deploy-collector
resource "google_project_iam_member" "mirror_telemetry" {
  for_each = var.otlp ? toset(["roles/telemetry.writer", "roles/serviceusage.serviceUsageConsumer"]) : toset([])

  project = var.project_id
  role    = each.key
  member  = google_service_account.mirror.member
}

# --- bridge: whoever publishes from a cluster

locals {
  # The cluster's own identity, without a Google service account in between: direct Workload Identity.
  # https://docs.cloud.google.com/iam/docs/workload-identity-federation
  direct_member = "principal://iam.googleapis.com/projects/%s/locations/global/workloadIdentityPools/%s.svc.id.goog/subject/ns/%s/sa/%s"

  # Who publishes, each once: two clusters of one project have one identity, and a grant for each of them
  # would be one grant, which goes with the first cluster that is removed. Keys are known to a plan, also where
  # the project is made by the same one and its number is not known yet.
  bridge_members = merge(
    {
      for identity, numbers in {
        for principal in values(var.bridge_principals) :
        "${principal.project_id}/${principal.namespace}/${principal.service_account}" => principal.project_number...
        if principal.member == null && !principal.annotated
      } : identity => format(local.direct_member, numbers[0], split("/", identity)...)
    },
    { for member in toset(values(var.bridge_principals)[*].member) : member => member if member != null },
    # Annotated Kubernetes service accounts act as this one of Google's; its name is known before it is made.
    length(local.annotated_members) == 0 ? {} : {
      annotated = "serviceAccount:${local.bridge_account_id}@${var.project_id}.iam.gserviceaccount.com"
    },
  )

  # Kubernetes service accounts that may act as Google's, each once.
  annotated_members = toset([
    for principal in values(var.bridge_principals) :
    "serviceAccount:${principal.project_id}.svc.id.goog[${principal.namespace}/${principal.service_account}]" if principal.annotated
  ])
  bridge_account_id = "${var.name}-bridge"

  flux_event_members = merge(
    {
      for identity, numbers in {
        for principal in values(var.flux_event_principals) :
        "${principal.project_id}/${principal.namespace}/${principal.service_account}" => principal.project_number...
        if principal.member == null
      } : identity => format(local.direct_member, numbers[0], split("/", identity)...)
    },
    { for member in toset(values(var.flux_event_principals)[*].member) : member => member if member != null },
  )

  bridge_grants = { for pair in setproduct(local.lanes, keys(local.bridge_members)) : "${pair[0]} ${pair[1]}" => { lane = pair[0], member = local.bridge_members[pair[1]] } }
}

resource "google_service_account" "bridge" {
  count = length(local.annotated_members) == 0 ? 0 : 1

  project      = var.project_id
  account_id   = local.bridge_account_id
  display_name = "${var.name}: bridges with an annotated service account"

  depends_on = [google_project_service.this]
}

resource "google_service_account_iam_member" "bridge_acts_as_account" {
  for_each = local.annotated_members

  service_account_id = google_service_account.bridge[0].name
  role               = "roles/iam.workloadIdentityUser"
  member             = each.key
}

resource "google_pubsub_topic_iam_member" "bridge_publishes" {
  for_each = local.bridge_grants

  project = var.project_id
  topic   = google_pubsub_topic.lane[each.value.lane].id
  role    = "roles/pubsub.publisher"
  member  = each.value.member

  depends_on = [google_service_account.bridge]
}

# --- build: whoever deploys, where that is not Terraform (examples/bootstrap makes the account)

resource "google_cloud_run_v2_service_iam_member" "build" {
  for_each = var.build_service_account == null ? toset([]) : local.lanes

  project  = var.project_id
  location = var.region
  name     = google_cloud_run_v2_service.mirror[each.key].name
  role     = "roles/run.developer"
  member   = "serviceAccount:${var.build_service_account}"
}

resource "google_cloud_run_v2_job_iam_member" "build" {
  count = var.build_service_account == null ? 0 : 1

  project  = var.project_id
  location = var.region
  name     = google_cloud_run_v2_job.mirror.name
  role     = "roles/run.developer"
  member   = "serviceAccount:${var.build_service_account}"
}

# To deploy a revision that runs as the mirror is to act as it.
resource "google_service_account_iam_member" "build_acts_as_mirror" {
  count = var.build_service_account == null ? 0 : 1

  service_account_id = google_service_account.mirror.name
  role               = "roles/iam.serviceAccountUser"
  member             = "serviceAccount:${var.build_service_account}"
}
