# What each choice changes.

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
  allowed_sources      = ["ghcr.io/my-org/*", "docker.io/library/*"]
}

run "mirroring_becomes_environment" {
  variables {
    mirroring = {
      layout               = "path"
      include              = ["^v[0-9]{1,3}$"]
      exclude              = ["-rc", "-beta"]
      latest               = 20
      referrers            = false
      max_missing_tags     = 0
      job_threshold_bytes  = 10737418240
      allowed_destinations = { team-a = ["team-a/*", "shared/*"], "*" = ["public/*"] }
    }
    tag_workers = 8
    workers     = 2
  }

  assert {
    condition = {
      for e in one(one(google_cloud_run_v2_service.mirror["events"].template).containers).env : e.name => e.value
      if !contains(["BULK_TOPIC", "DEAD_LETTER_TOPIC", "JOB"], e.name)
      } == {
      ALLOWED_DESTINATIONS = "*=public/*,team-a=team-a/*,team-a=shared/*"
      ALLOWED_SOURCES      = "ghcr.io/my-org/*,docker.io/library/*"
      DEADLINE_SECONDS     = "540"
      DESTINATION_LAYOUT   = "path"
      DESTINATION_REGISTRY = "europe-west1-docker.pkg.dev/my-project/mirror"
      GOOGLE_CLOUD_PROJECT = "my-project"
      JOB_THRESHOLD_BYTES  = "10737418240"
      MAX_MISSING_TAGS     = "0"
      # A comma is part of the pattern: lists of patterns are one a line.
      MIRROR_INCLUDE = "^v[0-9]{1,3}$\n"
      MIRROR_EXCLUDE = "-rc\n-beta\n"
      MIRROR_LATEST  = "20"
      REFERRERS      = "false"
      TAG_WORKERS    = "8"
    }
    error_message = "Every choice reaches the service, and no other."
  }

  assert {
    condition     = contains([for e in one(one(one(google_cloud_run_v2_job.mirror.template).template).containers).env : "${e.name}=${e.value}"], "WORKERS=2")
    error_message = "The job has its workers by the environment."
  }

  assert {
    condition     = length([for e in one(one(one(google_cloud_run_v2_job.mirror.template).template).containers).env : e if contains(["BULK_TOPIC", "JOB", "DEADLINE_SECONDS"], e.name)]) == 0
    error_message = "The job fans nothing out and hands nothing off."
  }

  assert {
    condition     = alltrue([for s in google_cloud_run_v2_service.mirror : one(s.template).max_instance_request_concurrency == 2])
    error_message = "The services have theirs as concurrency."
  }
}

run "any_public_source" {
  variables {
    allowed_sources = []
  }

  assert {
    condition     = length([for e in one(one(google_cloud_run_v2_service.mirror["events"].template).containers).env : e if e.name == "ALLOWED_SOURCES"]) == 0
    error_message = "An empty list is the code's: any public host, anonymously."
  }
}

run "existing_repository_elsewhere" {
  variables {
    destination_registry   = "europe-docker.pkg.dev/registry-project/images/mirror/eu"
    destination_repository = { create = false }
  }

  assert {
    condition = (
      length(google_artifact_registry_repository.destination) == 0
      && data.google_artifact_registry_repository.existing[0].location == "europe"
      && data.google_artifact_registry_repository.existing[0].repository_id == "images"
      && google_artifact_registry_repository_iam_member.destination_writer.project == "registry-project"
    )
    error_message = "An existing repository is looked up where it is, and only granted on."
  }
}

run "existing_repository_elsewhere_and_own_key" {
  command = plan

  variables {
    destination_registry   = "europe-docker.pkg.dev/registry-project/images/mirror/eu"
    destination_repository = { create = false }
    kms_key_name           = "projects/keys/locations/europe-west1/keyRings/ring/cryptoKeys/key"
  }

  assert {
    condition     = length(data.google_project.destination) == 0 && !contains(keys(google_kms_crypto_key_iam_member.agent), "artifactregistry")
    error_message = "Nothing of the repository is encrypted here, so its project, which one may not see, is not looked up."
  }
}

run "regional_endpoint" {
  variables {
    destination_registry = "docker.europe-west1.rep.pkg.dev/my-project/mirror"
  }

  assert {
    condition     = google_artifact_registry_repository.destination[0].location == "europe-west1"
    error_message = "The location is in the regional host's middle."
  }
}

run "cleanup_spares_untagged_versions" {
  variables {
    destination_repository = { cleanup = { older_than = "7776000s", keep_count = 200 } }
    mirroring              = { latest = 20 }
  }

  assert {
    condition = alltrue([
      for policy in google_artifact_registry_repository.destination[0].cleanup_policies : one(policy.condition).tag_state == "TAGGED" if policy.action == "DELETE"
    ]) && length(google_artifact_registry_repository.destination[0].cleanup_policies) == 2
    error_message = "Only versions with a tag are deleted: referrers and platforms have none."
  }

  assert {
    condition     = google_artifact_registry_repository.destination[0].cleanup_policy_dry_run
    error_message = "Cleaning begins as a dry run."
  }
}

run "immutable_tags" {
  variables {
    destination_repository = { immutable_tags = true }
  }

  assert {
    condition     = one(google_artifact_registry_repository.destination[0].docker_config).immutable_tags
    error_message = "Tags cannot be moved."
  }
}

run "credentials_are_a_file" {
  variables {
    source_credentials  = {}
    source_ca_secret_id = "corporate-ca"
  }

  assert {
    condition     = google_secret_manager_secret.docker_config[0].secret_id == "imagerepo-mirror-docker-config" && google_secret_manager_secret_version.docker_config[0].secret_data == "{\"auths\":{}}"
    error_message = "The secret begins as a docker config without credentials."
  }

  assert {
    condition = alltrue([
      for s in google_cloud_run_v2_service.mirror : alltrue([for v in one(s.template).volumes : one(one(v.secret).items).version == "latest"]) && length(one(s.template).volumes) == 2
    ])
    error_message = "Both files are mounted at their latest version."
  }

  assert {
    condition = (
      contains([for e in one(one(google_cloud_run_v2_service.mirror["bulk"].template).containers).env : "${e.name}=${e.value}"], "DOCKER_CONFIG_FILE=/secrets/docker-config/config.json")
      && contains([for e in one(one(one(google_cloud_run_v2_job.mirror.template).template).containers).env : "${e.name}=${e.value}"], "SOURCE_CA_FILE=/secrets/source-ca/ca.pem")
    )
    error_message = "The services and the job are told where they are."
  }

  assert {
    condition     = toset([for grant in google_secret_manager_secret_iam_member.mirror : grant.secret_id]) == toset(["projects/my-project/secrets/imagerepo-mirror-docker-config", "corporate-ca"])
    error_message = "The mirror reads these two secrets only."
  }
}

run "existing_secret" {
  variables {
    source_credentials = { create = false, secret_id = "docker-config" }
  }

  assert {
    condition     = length(google_secret_manager_secret.docker_config) == 0 && output.docker_config_secret == "docker-config"
    error_message = "An existing secret is only mounted."
  }
}

run "static_address" {
  variables {
    network = { network = "projects/my-project/global/networks/egress", subnetwork = "projects/my-project/regions/europe-west1/subnetworks/run" }
  }

  assert {
    condition = alltrue([
      for s in google_cloud_run_v2_service.mirror : one(one(s.template).vpc_access).egress == "ALL_TRAFFIC" && one(one(one(s.template).vpc_access).network_interfaces).subnetwork == "projects/my-project/regions/europe-west1/subnetworks/run"
    ])
    error_message = "Everything leaves by the network."
  }

  assert {
    condition     = google_compute_router_nat.egress[0].nat_ip_allocate_option == "MANUAL_ONLY" && google_compute_router_nat.egress[0].nat_ips == toset([google_compute_address.egress[0].self_link])
    error_message = "By the one address."
  }
}

run "network_without_address" {
  variables {
    network = { network = "default", subnetwork = "default", egress = "PRIVATE_RANGES_ONLY", static_address = false }
  }

  assert {
    condition     = length(google_compute_router_nat.egress) == 0 && output.egress_address == null
    error_message = "Without a static address there is no NAT."
  }
}

run "own_key_and_regions" {
  variables {
    kms_key_name                = "projects/keys/locations/europe-west1/keyRings/ring/cryptoKeys/key"
    allowed_persistence_regions = ["europe-west1", "europe-west4"]
    source_credentials          = {}
  }

  assert {
    condition     = alltrue([for t in concat(values(google_pubsub_topic.lane), [google_pubsub_topic.dead_letter]) : t.kms_key_name == var.kms_key_name && length(one(t.message_storage_policy).allowed_persistence_regions) == 2])
    error_message = "Messages are encrypted with the key and stay in the regions."
  }

  assert {
    condition     = toset(keys(google_kms_crypto_key_iam_member.agent)) == toset(["artifactregistry", "pubsub", "run", "secretmanager"])
    error_message = "The products' agents use the key."
  }

  assert {
    condition     = google_artifact_registry_repository.destination[0].kms_key_name == var.kms_key_name && one(google_cloud_run_v2_service.mirror["events"].template).encryption_key == var.kms_key_name
    error_message = "Images and instances too."
  }
}

run "build_owns_the_image_until_first_deployment" {
  variables {
    image_managed_by_build = true
    build_service_account  = "builder@my-project.iam.gserviceaccount.com"
  }

  assert {
    condition     = output.image == var.image
    error_message = "Before the build deployed anything, var.image runs."
  }
}

run "build_owns_the_image" {
  variables {
    image_managed_by_build = true
    build_service_account  = "builder@my-project.iam.gserviceaccount.com"
  }

  override_data {
    target = data.google_artifact_registry_tags.image
    values = {
      tags = [
        {
          name    = "projects/my-project/locations/europe-west1/repositories/images/packages/imagerepo-mirror/tags/deployed-imagerepo-mirror-dev"
          version = "projects/my-project/locations/europe-west1/repositories/images/packages/imagerepo-mirror/versions/sha256:3333333333333333333333333333333333333333333333333333333333333333"
        },
        {
          name    = "projects/my-project/locations/europe-west1/repositories/images/packages/imagerepo-mirror/tags/deployed-imagerepo-mirror"
          version = "projects/my-project/locations/europe-west1/repositories/images/packages/imagerepo-mirror/versions/sha256:2222222222222222222222222222222222222222222222222222222222222222"
        },
      ]
    }
  }

  assert {
    condition     = output.image == "europe-west1-docker.pkg.dev/my-project/images/imagerepo-mirror@sha256:2222222222222222222222222222222222222222222222222222222222222222"
    error_message = "Terraform follows the tag of this installation's last deployment."
  }
}

run "image_of_another_project" {
  variables {
    image = "europe-docker.pkg.dev/image-project/images/imagerepo-mirror@sha256:1111111111111111111111111111111111111111111111111111111111111111"
  }

  assert {
    condition = (
      google_artifact_registry_repository_iam_member.run_agent_pulls[0].project == "image-project"
      && google_artifact_registry_repository_iam_member.run_agent_pulls[0].location == "europe"
      && google_artifact_registry_repository_iam_member.run_agent_pulls[0].member == "serviceAccount:service-123456789012@serverless-robot-prod.iam.gserviceaccount.com"
    )
    error_message = "Cloud Run's agent may pull it there."
  }
}

run "no_apis" {
  variables {
    enable_apis = false
  }

  assert {
    condition     = length(google_project_service.this) == 0
    error_message = "Somebody else enables the APIs."
  }
}

run "two_installations_in_a_project" {
  variables {
    name = "mirror-dev"
  }

  assert {
    condition     = google_pubsub_topic.lane["events"].name == "mirror-dev-events" && google_logging_metric.this["tags"].name == "mirror_dev/tags" && google_service_account.mirror.account_id == "mirror-dev-mirror"
    error_message = "Every name begins with the installation's."
  }

  assert {
    condition     = google_artifact_registry_repository.destination[0].deletion_policy == "DELETE" && !google_cloud_run_v2_service.mirror["events"].deletion_protection
    error_message = "Without protection it can be taken away."
  }
}
