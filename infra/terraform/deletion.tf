# deletion_protection. A resource that refuses to be deleted does so when half of the others are gone: alerts,
# grants and metrics go first, because they name it. So the guards below go before everything, since they
# depend on everything, and refuse in its place; and what a plan can know, the plan refuses.
locals {
  # What the installation is; a change of it makes the protected resources anew.
  identity = join(" ", compact([
    var.project_id, var.region, var.name, join("/", slice(local.destination_parts, 0, 3)), var.kms_key_name, local.repository_kms_key_name,
  ]))

  # Parts that hold something, each with what it is.
  guarded_parts = merge(
    { installation = local.identity },
    var.destination_repository.create ? { destination_repository = join("/", slice(local.destination_parts, 0, 3)) } : {},
    local.creates_docker_config ? { source_credentials = coalesce(var.source_credentials.secret_id, "${var.name}-docker-config") } : {},
    var.accept_flux_events ? { accept_flux_events = "${var.name}-flux-events" } : {},
    # Sources allow it.
    local.uses_static_address ? { static_address = "${var.name}-egress" } : {},
  )
}

# What was installed under protection. It keeps its first input until protection is lifted, so that a plan sees
# the difference.
resource "terraform_data" "installed" {
  input            = local.identity
  triggers_replace = var.deletion_protection ? "protected" : local.identity

  lifecycle {
    ignore_changes = [input]
  }
}

resource "terraform_data" "deletion_guard" {
  for_each = local.guarded_parts

  input            = var.deletion_protection ? "protected" : "free"
  triggers_replace = each.value

  # No apostrophes and no parentheses: sh and cmd both read it.
  provisioner "local-exec" {
    when    = destroy
    command = self.input == "protected" ? "echo deletion_protection of imagerepo-mirror is true: nothing was deleted. Apply it as false first. && exit 1" : "exit 0"
  }

  lifecycle {
    precondition {
      condition     = !var.deletion_protection || terraform_data.installed.output == local.identity
      error_message = "deletion_protection is true, and this change of project_id, region, name, destination_registry or a key would delete what is there and make it anew. Apply deletion_protection = false first if that is meant."
    }
  }

  depends_on = [google_pubsub_topic.guard]
}

# A topic that nobody uses. Terraform runs no provisioner of a block that is gone, so where the module's block is
# taken away (or commented out) the guards above say nothing; what a resource's state says holds there too.
resource "google_pubsub_topic" "guard" {
  project      = var.project_id
  name         = "${var.name}-guard"
  kms_key_name = var.kms_key_name
  labels       = local.labels

  deletion_policy = local.deletion_policy

  dynamic "message_storage_policy" {
    for_each = length(var.allowed_persistence_regions) == 0 ? [] : [1]
    content {
      allowed_persistence_regions = var.allowed_persistence_regions
    }
  }

  # Everything; a test compares.
  depends_on = [
    google_artifact_registry_repository.destination,
    google_artifact_registry_repository_iam_member.destination_reader,
    google_artifact_registry_repository_iam_member.destination_writer,
    google_artifact_registry_repository_iam_member.run_agent_pulls,
    google_artifact_registry_repository_iam_member.source_reader,
    google_cloud_run_v2_job.mirror,
    google_cloud_run_v2_job_iam_member.build,
    google_cloud_run_v2_job_iam_member.mirror,
    google_cloud_run_v2_service.mirror,
    google_cloud_run_v2_service_iam_member.build,
    google_cloud_run_v2_service_iam_member.push,
    google_compute_address.egress,
    google_compute_router.egress,
    google_compute_router_nat.egress,
    google_kms_crypto_key_iam_member.agent,
    google_logging_metric.this,
    google_monitoring_alert_policy.this,
    google_monitoring_dashboard.this,
    google_project_iam_member.mirror_telemetry,
    google_project_service.this,
    google_pubsub_subscription.dead_letter,
    google_pubsub_subscription.flux_events,
    google_pubsub_subscription.lane,
    google_pubsub_subscription_iam_member.agent_flux_events,
    google_pubsub_subscription_iam_member.agent_lane,
    google_pubsub_subscription_iam_member.mirror_drain,
    google_pubsub_topic.dead_letter,
    google_pubsub_topic.flux_events,
    google_pubsub_topic.lane,
    google_pubsub_topic_iam_member.agent_dead_letter,
    google_pubsub_topic_iam_member.bridge_publishes,
    google_pubsub_topic_iam_member.flux_events_publish,
    google_pubsub_topic_iam_member.mirror_publisher,
    google_secret_manager_secret.docker_config,
    google_secret_manager_secret_iam_member.mirror,
    google_secret_manager_secret_version.docker_config,
    google_service_account.bridge,
    google_service_account.mirror,
    google_service_account.push,
    google_service_account_iam_member.agent_push_token,
    google_service_account_iam_member.bridge_acts_as_account,
    google_service_account_iam_member.build_acts_as_mirror,
    terraform_data.installed,
  ]
}
