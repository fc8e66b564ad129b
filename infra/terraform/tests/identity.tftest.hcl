# Each identity has what it needs, where it needs it, and nothing else.

mock_provider "google" {
  source = "./tests/mocks"

  override_resource {
    target = google_service_account.push
    values = {
      name   = "projects/my-project/serviceAccounts/imagerepo-mirror-push@my-project.iam.gserviceaccount.com"
      email  = "imagerepo-mirror-push@my-project.iam.gserviceaccount.com"
      member = "serviceAccount:imagerepo-mirror-push@my-project.iam.gserviceaccount.com"
    }
  }

  override_resource {
    target = google_service_account.mirror
    values = {
      name   = "projects/my-project/serviceAccounts/imagerepo-mirror-mirror@my-project.iam.gserviceaccount.com"
      email  = "imagerepo-mirror-mirror@my-project.iam.gserviceaccount.com"
      member = "serviceAccount:imagerepo-mirror-mirror@my-project.iam.gserviceaccount.com"
    }
  }

  override_resource {
    target = google_service_account.bridge
    values = {
      name   = "projects/my-project/serviceAccounts/imagerepo-mirror-bridge@my-project.iam.gserviceaccount.com"
      email  = "imagerepo-mirror-bridge@my-project.iam.gserviceaccount.com"
      member = "serviceAccount:imagerepo-mirror-bridge@my-project.iam.gserviceaccount.com"
    }
  }
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

run "push_and_mirror_are_apart" {
  assert {
    condition = alltrue([
      for s in google_cloud_run_v2_service.mirror : one(s.template).service_account == "imagerepo-mirror-mirror@my-project.iam.gserviceaccount.com"
    ]) && one(one(google_cloud_run_v2_job.mirror.template).template).service_account == "imagerepo-mirror-mirror@my-project.iam.gserviceaccount.com"
    error_message = "The services and the job run as the mirror."
  }

  assert {
    condition     = alltrue([for grant in google_cloud_run_v2_service_iam_member.push : grant.member == "serviceAccount:imagerepo-mirror-push@my-project.iam.gserviceaccount.com"])
    error_message = "The push identity invokes."
  }

  assert {
    condition = alltrue([
      for s in google_pubsub_subscription.lane : one(one(s.push_config).oidc_token).service_account_email == "imagerepo-mirror-push@my-project.iam.gserviceaccount.com"
    ])
    error_message = "Pub/Sub calls as the push identity."
  }

  assert {
    condition = (
      google_artifact_registry_repository_iam_member.destination_writer.role == "roles/artifactregistry.writer"
      && google_artifact_registry_repository_iam_member.destination_writer.repository == "mirror"
      && google_artifact_registry_repository_iam_member.destination_writer.member == "serviceAccount:imagerepo-mirror-mirror@my-project.iam.gserviceaccount.com"
    )
    error_message = "The mirror writes to the one destination."
  }

  assert {
    condition     = toset(keys(google_pubsub_topic_iam_member.mirror_publisher)) == toset(["bulk", "dead-letter"]) && google_pubsub_topic_iam_member.mirror_publisher["bulk"].topic == google_pubsub_topic.lane["bulk"].id
    error_message = "The mirror publishes to the bulk lane and the dead letters, never to the live lane."
  }

  assert {
    condition     = toset(keys(google_pubsub_subscription_iam_member.mirror_drain)) == toset(["roles/pubsub.subscriber", "roles/pubsub.viewer"]) && alltrue([for role, grant in google_pubsub_subscription_iam_member.mirror_drain : grant.role == role && grant.subscription == google_pubsub_subscription.dead_letter.id])
    error_message = "The job drains the dead letters, and reads what their subscription is."
  }
}

run "sources_in_artifact_registry" {
  variables {
    source_repositories = ["projects/dev-project/locations/europe-west4/repositories/mirror"]
    allowed_sources     = ["europe-west4-docker.pkg.dev/dev-project/mirror/*"]
  }

  assert {
    condition = (
      one(values(google_artifact_registry_repository_iam_member.source_reader)).project == "dev-project"
      && one(values(google_artifact_registry_repository_iam_member.source_reader)).location == "europe-west4"
      && one(values(google_artifact_registry_repository_iam_member.source_reader)).repository == "mirror"
      && one(values(google_artifact_registry_repository_iam_member.source_reader)).role == "roles/artifactregistry.reader"
    )
    error_message = "The mirror reads the one source repository."
  }
}

run "bridges_of_three_kinds" {
  variables {
    bridge_principals = {
      prod-eu = { project_id = "clusters-eu", project_number = "222222222222" }
      prod-us = { project_id = "clusters-us", namespace = "flux-system", annotated = true }
      on-prem = { member = "serviceAccount:bridge@elsewhere.iam.gserviceaccount.com" }
    }
  }

  assert {
    condition     = google_pubsub_topic_iam_member.bridge_publishes["events clusters-eu/imagerepo-mirror/imagerepo-mirror-bridge"].member == "principal://iam.googleapis.com/projects/222222222222/locations/global/workloadIdentityPools/clusters-eu.svc.id.goog/subject/ns/imagerepo-mirror/sa/imagerepo-mirror-bridge"
    error_message = "The direct principal names the cluster's pool, namespace and service account."
  }

  assert {
    condition     = google_service_account_iam_member.bridge_acts_as_account["serviceAccount:clusters-us.svc.id.goog[flux-system/imagerepo-mirror-bridge]"].member == "serviceAccount:clusters-us.svc.id.goog[flux-system/imagerepo-mirror-bridge]"
    error_message = "The annotated service account may act as Google's."
  }

  assert {
    condition     = google_pubsub_topic_iam_member.bridge_publishes["bulk annotated"].member == "serviceAccount:imagerepo-mirror-bridge@my-project.iam.gserviceaccount.com"
    error_message = "The annotated bridges publish as their Google service account."
  }

  assert {
    condition     = google_pubsub_topic_iam_member.bridge_publishes["events serviceAccount:bridge@elsewhere.iam.gserviceaccount.com"].member == "serviceAccount:bridge@elsewhere.iam.gserviceaccount.com"
    error_message = "Any other member is taken as it is."
  }

  assert {
    condition     = length(google_pubsub_topic_iam_member.bridge_publishes) == 6 && alltrue([for grant in google_pubsub_topic_iam_member.bridge_publishes : grant.role == "roles/pubsub.publisher"])
    error_message = "Each publishes to both lanes, and does nothing else."
  }

  assert {
    condition     = output.bridge_service_account == "imagerepo-mirror-bridge@my-project.iam.gserviceaccount.com"
    error_message = "The annotation's value is an output."
  }
}

run "clusters_of_one_project_share_a_grant" {
  variables {
    bridge_principals = {
      a = { project_id = "clusters", project_number = "222222222222" }
      b = { project_id = "clusters", project_number = "222222222222" }
      c = { project_id = "clusters", annotated = true }
      d = { project_id = "clusters", annotated = true }
    }
  }

  assert {
    condition     = length(google_pubsub_topic_iam_member.bridge_publishes) == 4 && length(google_service_account_iam_member.bridge_acts_as_account) == 1
    error_message = "One identity is granted once, so that no cluster takes it away from another."
  }

  assert {
    condition     = length([for name in keys(google_monitoring_alert_policy.this) : name if startswith(name, "silent-bridge ")]) == 4
    error_message = "Each cluster has its own alert."
  }
}

run "flux_publishes_by_its_own_topic" {
  variables {
    accept_flux_events    = true
    flux_event_principals = { prod = { project_id = "clusters-eu", project_number = "222222222222" } }
  }

  assert {
    condition     = google_pubsub_topic_iam_member.flux_events_publish["clusters-eu/flux-system/notification-controller"].member == "principal://iam.googleapis.com/projects/222222222222/locations/global/workloadIdentityPools/clusters-eu.svc.id.goog/subject/ns/flux-system/sa/notification-controller"
    error_message = "notification-controller's principal publishes."
  }

  assert {
    condition     = length(one(google_pubsub_subscription.flux_events[0].push_config).no_wrapper) == 0 && one(google_pubsub_subscription.flux_events[0].push_config).push_endpoint == google_cloud_run_v2_service.mirror["events"].uri
    error_message = "Flux's events come wrapped, to the lane of live changes."
  }

  assert {
    condition     = google_pubsub_subscription_iam_member.agent_flux_events[0].role == "roles/pubsub.subscriber" && one(google_pubsub_subscription.flux_events[0].dead_letter_policy).max_delivery_attempts == 100
    error_message = "They can become dead letters too."
  }

  assert {
    condition = alltrue([
      for lane in ["events", "bulk"] :
      one([for e in one(one(google_cloud_run_v2_service.mirror[lane].template).containers).env : e.value if e.name == "ACCEPT_FLUX_EVENTS"]) == "true"
    ])
    error_message = "Both services accept them: dead letters of Flux's are republished to the bulk lane."
  }
}

run "telemetry_roles_only_with_otlp" {
  variables {
    otlp = true
  }

  assert {
    condition     = toset(keys(google_project_iam_member.mirror_telemetry)) == toset(["roles/telemetry.writer", "roles/serviceusage.serviceUsageConsumer"])
    error_message = "Both roles are needed; one of them alone fails silently."
  }

  assert {
    condition     = contains(keys(google_project_service.this), "telemetry.googleapis.com")
    error_message = "The API is enabled."
  }
}

run "build_deploys" {
  variables {
    image_managed_by_build = true
    build_service_account  = "builder@my-project.iam.gserviceaccount.com"
  }

  assert {
    condition = (
      keys(google_cloud_run_v2_service_iam_member.build) == ["bulk", "events"] && google_cloud_run_v2_job_iam_member.build[0].role == "roles/run.developer"
      && google_service_account_iam_member.build_acts_as_mirror[0].service_account_id == google_service_account.mirror.name
    )
    error_message = "The build deploys the services and the job, acting as the mirror only."
  }
}
