locals {
  # A delivery stops starting work before Pub/Sub gives up on it, and Cloud Run cuts it last:
  # DEADLINE_SECONDS < timeout <= acknowledgement deadline.
  deadline_seconds = 540
  timeout_seconds  = 600 # Cloud Run's default of 300 would cut every long copy.

  # The longest a task may run. https://docs.cloud.google.com/run/docs/configuring/task-timeout
  job_timeout_seconds = 86400
  job_max_retries     = 3

  # As the image's own command: a young generation of 8 MiB from the beginning, so that a start collects less.
  node = ["/nodejs/bin/node", "--max-semi-space-size=8", "--min-semi-space-size=8"]

  # What every entry is told. A null is left out, so that the default of the code holds.
  mirror_env = {
    DESTINATION_REGISTRY = var.destination_registry
    DESTINATION_LAYOUT   = var.mirroring.layout
    TAG_WORKERS          = tostring(var.tag_workers)
    ALLOWED_SOURCES      = length(var.allowed_sources) == 0 ? null : join(",", var.allowed_sources)
    ALLOWED_DESTINATIONS = length(var.mirroring.allowed_destinations) == 0 ? null : join(",", flatten([
      for namespace, patterns in var.mirroring.allowed_destinations : [for pattern in patterns : "${namespace}=${pattern}"]
    ]))
    # One a line, the last one too: a single pattern with a comma in it stays one pattern.
    MIRROR_INCLUDE   = length(var.mirroring.include) == 0 ? null : join("", [for pattern in var.mirroring.include : "${pattern}\n"])
    MIRROR_EXCLUDE   = length(var.mirroring.exclude) == 0 ? null : join("", [for pattern in var.mirroring.exclude : "${pattern}\n"])
    MIRROR_SEMVER    = var.mirroring.semver
    MIRROR_LATEST    = try(tostring(var.mirroring.latest), null)
    VERIFY_TAGS      = var.mirroring.verify_tags
    MUTABLE_TAGS     = var.mirroring.mutable_tags
    RESYNC_VERIFY    = var.mirroring.resync_verify
    ON_DRIFT         = var.mirroring.on_drift
    BACKUP_TAG       = var.mirroring.backup_tag
    PLATFORMS        = length(var.mirroring.platforms) == 0 ? null : join(",", var.mirroring.platforms)
    REFERRERS        = try(tostring(var.mirroring.referrers), null)
    MAX_MISSING_TAGS = try(tostring(var.mirroring.max_missing_tags), null)
    PRIVATE_HOSTS    = length(var.mirroring.private_hosts) == 0 ? null : join(",", var.mirroring.private_hosts)
    INSECURE_SOURCES = length(var.mirroring.insecure_sources) == 0 ? null : join(",", var.mirroring.insecure_sources)
    LOG_LEVEL        = var.mirroring.log_level
    # Of every entry: wrapped events come to the lane of live changes, and from among dead letters to the bulk lane
    # or to a drain.
    ACCEPT_FLUX_EVENTS = var.accept_flux_events ? "true" : null
    DOCKER_CONFIG_FILE = try("${local.secret_files["docker-config"].folder}/${local.secret_files["docker-config"].file}", null)
    SOURCE_CA_FILE     = try("${local.secret_files["source-ca"].folder}/${local.secret_files["source-ca"].file}", null)

    DEAD_LETTER_TOPIC    = google_pubsub_topic.dead_letter.id
    GOOGLE_CLOUD_PROJECT = var.project_id

    OTEL_EXPORTER_OTLP_ENDPOINT = var.otlp ? "https://telemetry.googleapis.com" : null
    # Managed Prometheus keeps a series under the region that it comes from.
    OTEL_RESOURCE_ATTRIBUTES = var.otlp ? "cloud.region=${var.region}" : null
  }

  # What the service alone is told.
  service_env = {
    DEADLINE_SECONDS = tostring(local.deadline_seconds)
    BULK_TOPIC       = google_pubsub_topic.lane["bulk"].id
    # Never started at -1, and refused beside it.
    JOB                 = var.mirroring.job_threshold_bytes == -1 ? null : google_cloud_run_v2_job.mirror.id
    BATCH_TAGS          = try(tostring(var.mirroring.batch_tags), null)
    JOB_THRESHOLD_BYTES = try(tostring(var.mirroring.job_threshold_bytes), null)
  }

  # What the job alone is told.
  job_env = {
    WORKERS = tostring(var.workers)
    # The last attempt, and one that nears its timeout, put what remains on the dead-letter topic.
    TASK_TIMEOUT_SECONDS = tostring(local.job_timeout_seconds)
    TASK_MAX_RETRIES     = tostring(local.job_max_retries)
  }
}

# One service a lane, of one image: each has its own instances, so that they do not wait for each other.
resource "google_cloud_run_v2_service" "mirror" {
  for_each = local.lanes

  project             = var.project_id
  location            = var.region
  name                = "${var.name}-${each.key}"
  description         = "Mirrors what the ${each.key} topic of ${var.name} asks for"
  ingress             = "INGRESS_TRAFFIC_INTERNAL_ONLY" # Pub/Sub of the same project is internal
  deletion_protection = var.deletion_protection
  labels              = local.labels

  dynamic "binary_authorization" {
    for_each = var.binary_authorization[*]
    content {
      use_default = binary_authorization.value == "default" ? true : null
      policy      = binary_authorization.value == "default" ? null : binary_authorization.value
    }
  }

  template {
    service_account                  = google_service_account.mirror.email
    timeout                          = "${local.timeout_seconds}s"
    max_instance_request_concurrency = var.workers
    execution_environment            = "EXECUTION_ENVIRONMENT_GEN2" # faster network; whole Linux
    encryption_key                   = var.kms_key_name
    labels                           = local.labels

    scaling {
      min_instance_count = 0
      max_instance_count = var.max_instances
    }

    containers {
      image   = local.image
      command = local.node
      args    = ["/app/serve.js"]

      ports {
        container_port = 8080
      }

      resources {
        limits = {
          # Below 1 CPU the concurrency is 1, whatever is asked for.
          cpu    = tostring(var.cpu)
          memory = var.memory
        }
        # Billed during requests only. With `resources` set, the default would be the other one.
        cpu_idle          = true
        startup_cpu_boost = true
      }

      # TCP: the function answers events, not GET.
      startup_probe {
        period_seconds    = 1
        timeout_seconds   = 1
        failure_threshold = 60
        tcp_socket {
          port = 8080
        }
      }

      dynamic "env" {
        for_each = { for name, value in merge(local.mirror_env, local.service_env) : name => value if value != null }
        content {
          name  = env.key
          value = env.value
        }
      }

      dynamic "volume_mounts" {
        for_each = local.secret_files
        content {
          name       = volume_mounts.key
          mount_path = volume_mounts.value.folder
        }
      }
    }

    dynamic "volumes" {
      for_each = local.secret_files
      content {
        name = volumes.key
        secret {
          secret = volumes.value.secret
          items {
            version = "latest"
            path    = volumes.value.file
          }
        }
      }
    }

    dynamic "vpc_access" {
      for_each = var.network[*]
      content {
        egress = vpc_access.value.egress
        network_interfaces {
          network    = vpc_access.value.network
          subnetwork = vpc_access.value.subnetwork
        }
      }
    }
  }

  lifecycle {
    # What gcloud notes about itself when a build deploys; not configuration.
    ignore_changes = [
      client, client_version,
      template[0].annotations["client.knative.dev/user-image"],
      template[0].labels["client.knative.dev/nonce"],
    ]

    precondition {
      condition     = local.deadline_seconds < local.timeout_seconds && local.timeout_seconds <= local.ack_deadline_seconds
      error_message = "DEADLINE_SECONDS must be below the request timeout, and that at most the acknowledgement deadline."
    }
  }

  depends_on = [
    google_artifact_registry_repository_iam_member.destination_writer,
    google_artifact_registry_repository_iam_member.run_agent_pulls,
    google_kms_crypto_key_iam_member.agent,
    google_project_service.this,
    google_secret_manager_secret_iam_member.mirror,
    google_secret_manager_secret_version.docker_config,
  ]
}

# The same work without the 10 minutes of a delivery: what is too large for one, drains, and by hand.
resource "google_cloud_run_v2_job" "mirror" {
  project             = var.project_id
  location            = var.region
  name                = "${var.name}-job"
  deletion_protection = var.deletion_protection
  labels              = local.labels

  dynamic "binary_authorization" {
    for_each = var.binary_authorization[*]
    content {
      use_default = binary_authorization.value == "default" ? true : null
      policy      = binary_authorization.value == "default" ? null : binary_authorization.value
    }
  }

  template {
    task_count  = 1
    parallelism = 1
    labels      = local.labels

    template {
      service_account       = google_service_account.mirror.email
      timeout               = "${local.job_timeout_seconds}s"
      max_retries           = local.job_max_retries
      execution_environment = "EXECUTION_ENVIRONMENT_GEN2"
      encryption_key        = var.kms_key_name

      containers {
        image = local.image
        # Not in args: an execution's --args then are options of ours, and nothing else.
        command = concat(local.node, ["/app/job.js"])

        resources {
          limits = {
            cpu    = tostring(var.cpu)
            memory = var.memory
          }
        }

        dynamic "env" {
          for_each = { for name, value in merge(local.mirror_env, local.job_env) : name => value if value != null }
          content {
            name  = env.key
            value = env.value
          }
        }

        dynamic "volume_mounts" {
          for_each = local.secret_files
          content {
            name       = volume_mounts.key
            mount_path = volume_mounts.value.folder
          }
        }
      }

      dynamic "volumes" {
        for_each = local.secret_files
        content {
          name = volumes.key
          secret {
            secret = volumes.value.secret
            items {
              version = "latest"
              path    = volumes.value.file
            }
          }
        }
      }

      dynamic "vpc_access" {
        for_each = var.network[*]
        content {
          egress = vpc_access.value.egress
          network_interfaces {
            network    = vpc_access.value.network
            subnetwork = vpc_access.value.subnetwork
          }
        }
      }
    }
  }

  lifecycle {
    ignore_changes = [
      client, client_version,
      template[0].annotations["client.knative.dev/user-image"],
      template[0].labels["client.knative.dev/nonce"],
    ]
  }

  depends_on = [
    google_artifact_registry_repository_iam_member.destination_writer,
    google_artifact_registry_repository_iam_member.run_agent_pulls,
    google_kms_crypto_key_iam_member.agent,
    google_project_service.this,
    google_secret_manager_secret_iam_member.mirror,
    google_secret_manager_secret_version.docker_config,
  ]
}
