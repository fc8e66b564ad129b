# What an installation is made of when nothing but the necessary is said.

mock_provider "google" {
  source = "./tests/mocks"
}

variables {
  # A run applies, and what it has applied is taken away after it.
  deletion_protection = false

  project_id           = "my-project"
  region               = "europe-west1"
  image                = "europe-west1-docker.pkg.dev/my-project/images/imagerepo-mirror@sha256:1111111111111111111111111111111111111111111111111111111111111111"
  destination_registry = "europe-west1-docker.pkg.dev/my-project/mirror"
  allowed_sources      = ["ghcr.io/my-org/*"]
}

run "lanes" {
  assert {
    condition     = keys(google_pubsub_subscription.lane) == ["bulk", "events"] && keys(google_cloud_run_v2_service.mirror) == ["bulk", "events"]
    error_message = "Each lane has a subscription and a service of its own."
  }

  assert {
    condition     = alltrue([for lane, s in google_pubsub_subscription.lane : one(s.push_config).push_endpoint == google_cloud_run_v2_service.mirror[lane].uri])
    error_message = "A lane is pushed to its own service."
  }

  assert {
    condition = alltrue([
      for lane, s in google_pubsub_subscription.lane : one(one(s.push_config).oidc_token).audience == google_cloud_run_v2_service.mirror[lane].uri
    ])
    error_message = "The audience of the push token is the service it is for."
  }

  assert {
    condition     = alltrue([for s in google_pubsub_subscription.lane : one(one(s.push_config).no_wrapper).write_metadata])
    error_message = "Lanes are pushed unwrapped, with metadata: the service receives CloudEvents."
  }

  assert {
    condition = alltrue([
      for s in google_pubsub_subscription.lane :
      s.ack_deadline_seconds == 600 && one(s.retry_policy).minimum_backoff == "10s" && one(s.retry_policy).maximum_backoff == "600s"
    ])
    error_message = "Deliveries have 600 s and are repeated after 10 s to 600 s."
  }

  assert {
    condition     = alltrue([for s in google_pubsub_subscription.lane : one(s.dead_letter_policy).max_delivery_attempts == 100])
    error_message = "Refused deliveries count as attempts: the limit is Pub/Sub's maximum."
  }

  assert {
    condition     = alltrue([for s in concat(values(google_pubsub_subscription.lane), [google_pubsub_subscription.dead_letter]) : one(s.expiration_policy).ttl == ""])
    error_message = "No subscription expires."
  }

  assert {
    condition     = alltrue([for t in google_pubsub_topic.lane : t.message_retention_duration == "604800s"])
    error_message = "Topics keep 7 days to seek in."
  }
}

run "service_agent_moves_dead_letters" {
  assert {
    condition     = google_pubsub_topic_iam_member.agent_dead_letter.member == "serviceAccount:service-123456789012@gcp-sa-pubsub.iam.gserviceaccount.com" && google_pubsub_topic_iam_member.agent_dead_letter.role == "roles/pubsub.publisher"
    error_message = "Pub/Sub publishes dead letters."
  }

  assert {
    condition = keys(google_pubsub_subscription_iam_member.agent_lane) == ["bulk", "events"] && alltrue([
      for lane, grant in google_pubsub_subscription_iam_member.agent_lane : grant.role == "roles/pubsub.subscriber" && grant.subscription == google_pubsub_subscription.lane[lane].id
    ])
    error_message = "Pub/Sub acknowledges on each subscription what it moved."
  }
}

run "services" {
  assert {
    condition = alltrue([
      for s in google_cloud_run_v2_service.mirror : one(s.template).timeout == "600s" && one(s.template).max_instance_request_concurrency == 4
    ])
    error_message = "A request has 600 s, and an instance takes as many as there are workers."
  }

  assert {
    condition = alltrue([
      for s in google_cloud_run_v2_service.mirror :
      one(one(one(s.template).containers).resources).cpu_idle && one(one(one(s.template).containers).resources).startup_cpu_boost
    ])
    error_message = "Billed during requests, with more CPU at start."
  }

  assert {
    condition     = alltrue([for s in google_cloud_run_v2_service.mirror : one(one(one(s.template).containers).resources).limits == tomap({ cpu = "1", memory = "512Mi" })])
    error_message = "One CPU and three times the memory that the benchmark measures."
  }

  assert {
    condition     = alltrue([for s in google_cloud_run_v2_service.mirror : one(s.template).execution_environment == "EXECUTION_ENVIRONMENT_GEN2" && s.ingress == "INGRESS_TRAFFIC_INTERNAL_ONLY"])
    error_message = "Second generation, and closed to the internet."
  }

  assert {
    condition     = alltrue([for s in google_cloud_run_v2_service.mirror : one(one(s.template).scaling).max_instance_count == 5 && one(one(s.template).scaling).min_instance_count == 0])
    error_message = "From none to 5 instances."
  }

  assert {
    condition     = alltrue([for grant in google_cloud_run_v2_service_iam_member.push : grant.role == "roles/run.invoker" && grant.member == google_service_account.push.member])
    error_message = "Only Pub/Sub's identity calls the services."
  }

  assert {
    condition = alltrue([
      for s in google_cloud_run_v2_service.mirror :
      one([for e in one(one(s.template).containers).env : e.value if e.name == "BULK_TOPIC"]) == google_pubsub_topic.lane["bulk"].id
      && one([for e in one(one(s.template).containers).env : e.value if e.name == "DEAD_LETTER_TOPIC"]) == google_pubsub_topic.dead_letter.id
      && one([for e in one(one(s.template).containers).env : e.value if e.name == "JOB"]) == google_cloud_run_v2_job.mirror.id
      && one([for e in one(one(s.template).containers).env : e.value if e.name == "DESTINATION_REGISTRY"]) == "europe-west1-docker.pkg.dev/my-project/mirror"
      && one([for e in one(one(s.template).containers).env : e.value if e.name == "ALLOWED_SOURCES"]) == "ghcr.io/my-org/*"
    ])
    error_message = "The services know their topics, their job, their destination and their sources."
  }

  assert {
    condition = alltrue([
      for s in google_cloud_run_v2_service.mirror : alltrue([for e in one(one(s.template).containers).env : e.value != null && e.value != ""])
    ])
    error_message = "What is not said is left to the code's default, not set to nothing."
  }
}

run "job" {
  assert {
    condition     = one(one(google_cloud_run_v2_job.mirror.template).template).timeout == "86400s" && one(one(google_cloud_run_v2_job.mirror.template).template).max_retries == 3
    error_message = "The job has a day, and three more attempts."
  }

  assert {
    condition     = one(one(one(google_cloud_run_v2_job.mirror.template).template).containers).image == var.image
    error_message = "The job runs the image of the services."
  }

  assert {
    condition     = toset(keys(google_cloud_run_v2_job_iam_member.mirror)) == toset(["roles/run.jobsExecutorWithOverrides", "roles/run.viewer"])
    error_message = "The mirror starts the job and sees its executions; it cannot change it."
  }
}

run "destination" {
  assert {
    condition = (
      google_artifact_registry_repository.destination[0].location == "europe-west1"
      && google_artifact_registry_repository.destination[0].project == "my-project"
      && google_artifact_registry_repository.destination[0].repository_id == "mirror"
    )
    error_message = "The repository is the one that destination_registry names."
  }

  assert {
    condition     = length(google_artifact_registry_repository.destination[0].cleanup_policies) == 0 && one(google_artifact_registry_repository.destination[0].vulnerability_scanning_config).enablement_config == "DISABLED"
    error_message = "Nothing is cleaned and nothing is scanned unless asked for."
  }
}

run "nothing_is_deleted_by_accident" {
  command = plan

  variables {
    deletion_protection = null # the default
  }

  assert {
    condition     = alltrue([for s in google_cloud_run_v2_service.mirror : s.deletion_protection]) && google_cloud_run_v2_job.mirror.deletion_protection
    error_message = "The services and the job are protected."
  }

  assert {
    condition     = google_artifact_registry_repository.destination[0].deletion_policy == "PREVENT" && alltrue([for t in google_pubsub_topic.lane : t.deletion_policy == "PREVENT"]) && google_pubsub_topic.guard.deletion_policy == "PREVENT"
    error_message = "Images and messages are protected."
  }

  assert {
    condition     = alltrue([for guard in terraform_data.deletion_guard : guard.input == "protected"])
    error_message = "The guards refuse before anything is deleted."
  }
}

run "optional_parts_are_absent" {
  assert {
    condition = (
      length(google_secret_manager_secret.docker_config) == 0 && length(google_compute_address.egress) == 0 && length(google_pubsub_topic.flux_events) == 0
      && length(google_service_account.bridge) == 0 && length(google_project_iam_member.mirror_telemetry) == 0 && length(google_kms_crypto_key_iam_member.agent) == 0
      && length(google_cloud_run_v2_service_iam_member.build) == 0
    )
    error_message = "What is not asked for is not made."
  }
}

run "watching" {
  assert {
    condition     = length(google_logging_metric.this) == 20 && length(google_monitoring_alert_policy.this) == 11
    error_message = "All metrics and alerts are there."
  }

  assert {
    condition     = google_logging_metric.this["tags"].name == "imagerepo_mirror/tags" && google_logging_metric.this["tags"].value_extractor == null
    error_message = "A counter has the catalogue's name and extracts nothing."
  }

  assert {
    condition     = google_logging_metric.this["lag"].value_extractor == "EXTRACT(jsonPayload.lagSeconds)" && one(google_logging_metric.this["lag"].metric_descriptor).value_type == "DISTRIBUTION"
    error_message = "A distribution extracts its field."
  }

  assert {
    condition     = alltrue([for tile in jsondecode(google_monitoring_dashboard.this.dashboard_json).mosaicLayout.tiles : try(tile.xPos, 0) + tile.width <= 48])
    error_message = "The dashboard fits its grid."
  }

  assert {
    condition     = alltrue([for policy in google_monitoring_alert_policy.this : length(one(policy.documentation).content) > 100])
    error_message = "Each alert says what to do."
  }
}
