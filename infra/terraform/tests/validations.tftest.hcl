# Each mistake is refused before anything is made, by the variable that it is in. A run makes one mistake
# in each of several variables, and every one of them must be told.

mock_provider "google" {
  source = "./tests/mocks"
}

variables {
  project_id           = "my-project"
  region               = "europe-west1"
  image                = "europe-west1-docker.pkg.dev/my-project/images/imagerepo-mirror@sha256:1111111111111111111111111111111111111111111111111111111111111111"
  destination_registry = "europe-west1-docker.pkg.dev/my-project/mirror"
  allowed_sources      = ["ghcr.io/my-org/*"]
}

run "mistakes_1" {
  command = plan

  variables {
    # zone instead of region
    region = "europe-west1-b"
    # image by tag
    image = "europe-west1-docker.pkg.dev/my-project/images/imagerepo-mirror:v1"
    # destination empty
    destination_registry = ""
    # name too long for a service account
    name = "imagerepo-mirror-production"
    # label in upper case
    labels = { Team = "platform" }
    # key version instead of key
    kms_key_name = "projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1"
    # persistence in a multi region
    allowed_persistence_regions = ["eu"]
    # unknown egress
    network = { network = "n", subnetwork = "s", egress = "ALL" }
    # build account as member
    build_service_account = "serviceAccount:builder@my-project.iam.gserviceaccount.com"
    # cleanup without selection
    destination_repository = { cleanup = { older_than = "7776000s", keep_count = 200 } }
    # source repository as host
    source_repositories = ["europe-west1-docker.pkg.dev/dev/mirror"]
    # secret as full name
    source_credentials = { secret_id = "projects/p/secrets/s" }
    # ca as full name
    source_ca_secret_id = "projects/p/secrets/s"
    # no workers
    workers = 0
    # half a worker
    tag_workers = 1.5
    # no instances
    max_instances = 0
    # less than a cpu
    cpu = 0.5
    # too little memory
    memory = "256Mi"
    # bridge without project number
    bridge_principals = { prod = { project_id = "clusters" } }
    # flux principal without topic
    flux_event_principals = { prod = { member = "user:a@example.com" } }
    # channel by name
    notification_channels = ["on-call"]
    # silence longer than monitoring looks back
    alert_thresholds = { silence_minutes = 1441 }
    # reader who is everybody
    destination_readers = ["allUsers"]
    # policy by its short name
    binary_authorization = "my-policy"
    # runbook by path
    runbook_url = "infra/README.md"
  }

  expect_failures = [
    var.region,
    var.image,
    var.destination_registry,
    var.name,
    var.labels,
    var.kms_key_name,
    var.allowed_persistence_regions,
    var.network,
    var.build_service_account,
    var.destination_repository,
    var.source_repositories,
    var.source_credentials,
    var.source_ca_secret_id,
    var.workers,
    var.tag_workers,
    var.max_instances,
    var.cpu,
    var.memory,
    var.bridge_principals,
    var.flux_event_principals,
    var.notification_channels,
    var.alert_thresholds,
    var.destination_readers,
    var.binary_authorization,
    var.runbook_url,
  ]
}

run "image_of_the_examples" {
  command = plan

  variables {
    image = "europe-west1-docker.pkg.dev/my-project/images/imagerepo-mirror@sha256:0000000000000000000000000000000000000000000000000000000000000000"
  }

  expect_failures = [var.image]
}

run "mistakes_2" {
  command = plan

  variables {
    # source with scheme
    allowed_sources = ["https://ghcr.io/my-org/*"]
    # unknown layout
    mirroring = { layout = "flat" }
    # multi region
    region = "europe"
    # image by tag and digest
    image = "europe-west1-docker.pkg.dev/my-project/images/imagerepo-mirror:v1@sha256:1111111111111111111111111111111111111111111111111111111111111111"
    # name in upper case
    name = "Mirror"
    # address that public sources never see
    network = { network = "n", subnetwork = "s", egress = "PRIVATE_RANGES_ONLY" }
    # build without account
    image_managed_by_build = true
    # existing secret without name
    source_credentials = { create = false }
    # memory in kubernetes bytes
    memory = "1000000000"
    # bridge member without kind
    bridge_principals = { prod = { member = "bridge@clusters.iam.gserviceaccount.com" } }
    # flux principal without project number
    accept_flux_events    = true
    flux_event_principals = { prod = { project_id = "clusters" } }
    # lag of nothing
    alert_thresholds = { lag_minutes = 0 }
  }

  expect_failures = [
    var.allowed_sources,
    var.mirroring,
    var.region,
    var.image,
    var.name,
    var.network,
    var.build_service_account,
    var.source_credentials,
    var.memory,
    var.bridge_principals,
    var.flux_event_principals,
    var.alert_thresholds,
  ]
}

run "mistakes_3" {
  command = plan

  variables {
    # nat of a shared network
    network = { network = "projects/host/global/networks/shared", subnetwork = "s" }
    # destination with scheme
    destination_registry = "https://europe-west1-docker.pkg.dev/my-project/mirror"
    # cleanup that the mirror undoes
    destination_repository = { cleanup = { older_than = "7776000s", keep_count = 20 } }
    mirroring              = { latest = 20 }
    # everybody publishes
    bridge_principals = { prod = { member = "allUsers" } }
  }

  expect_failures = [
    var.network,
    var.destination_registry,
    var.destination_repository,
    var.bridge_principals,
  ]
}

run "mistakes_4" {
  command = plan

  variables {
    # source with tag
    allowed_sources = ["ghcr.io/my-org/app:v1"]
    # cleanup in days
    destination_repository = { cleanup = { older_than = "90d", keep_count = 200 } }
    mirroring              = { latest = 20 }
    # bridge of two kinds
    bridge_principals = { prod = { project_id = "clusters", annotated = true, member = "user:a@example.com" } }
  }

  expect_failures = [
    var.allowed_sources,
    var.destination_repository,
    var.bridge_principals,
  ]
}

run "mistakes_5" {
  command = plan

  variables {
    # destination without repository
    destination_registry = "europe-west1-docker.pkg.dev/my-project"
    # cleanup of immutable tags
    destination_repository = { immutable_tags = true, cleanup = { older_than = "7776000s", keep_count = 200 } }
    mirroring              = { latest = 20 }
    # bridge name with a slash
    bridge_principals = { "prod/eu" = { member = "user:a@example.com" } }
  }

  expect_failures = [
    var.destination_registry,
    var.destination_repository,
    var.bridge_principals,
  ]
}

run "mistakes_6" {
  command = plan

  variables {
    # source with comma
    allowed_sources = ["ghcr.io/my-org/*,quay.io/my-org/*"]
    # settings of a repository that is not made
    destination_repository = { create = false, immutable_tags = true }
  }

  expect_failures = [
    var.allowed_sources,
    var.destination_repository,
  ]
}

run "mistakes_7" {
  command = plan

  variables {
    # destination with slash at the end
    destination_registry = "europe-west1-docker.pkg.dev/my-project/mirror/"
    # unknown verification
    mirroring = { verify_tags = "some" }
  }

  expect_failures = [
    var.destination_registry,
    var.mirroring,
  ]
}

run "mistakes_8" {
  command = plan

  variables {
    # source within destination
    allowed_sources = ["europe-west1-docker.pkg.dev/my-project/mirror/*"]
    # unknown resync verification
    mirroring = { resync_verify = "some" }
  }

  expect_failures = [
    var.allowed_sources,
    var.mirroring,
  ]
}

run "mistakes_9" {
  command = plan

  variables {
    # destination elsewhere
    destination_registry = "ghcr.io/my-org/mirror"
    # unknown drift policy
    mirroring = { on_drift = "ignore" }
  }

  expect_failures = [
    var.destination_registry,
    var.mirroring,
  ]
}

run "mistakes_10" {
  command = plan

  variables {
    # newest none
    mirroring = { latest = 0 }
  }

  expect_failures = [
    var.mirroring,
  ]
}

run "mistakes_11" {
  command = plan

  variables {
    # half a tag
    mirroring = { max_missing_tags = 0.5 }
  }

  expect_failures = [
    var.mirroring,
  ]
}

run "mistakes_12" {
  command = plan

  variables {
    # batch over the limit of an event
    mirroring = { batch_tags = 2000 }
  }

  expect_failures = [
    var.mirroring,
  ]
}

run "mistakes_13" {
  command = plan

  variables {
    # threshold below nothing
    mirroring = { job_threshold_bytes = -2 }
  }

  expect_failures = [
    var.mirroring,
  ]
}

run "mistakes_14" {
  command = plan

  variables {
    # destination path in upper case
    mirroring = { allowed_destinations = { team-a = ["Team"] } }
  }

  expect_failures = [
    var.mirroring,
  ]
}

run "mistakes_15" {
  command = plan

  variables {
    # empty pattern
    mirroring = { include = [""] }
  }

  expect_failures = [
    var.mirroring,
  ]
}

run "mistakes_16" {
  command = plan

  variables {
    # private host with scheme
    mirroring = { private_hosts = ["https://registry.internal"] }
  }

  expect_failures = [
    var.mirroring,
  ]
}

run "mistakes_17" {
  command = plan

  variables {
    # project number instead of id
    project_id = "123456789012"
    # log level that hides the metrics
    mirroring = { log_level = "warning" }
  }

  expect_failures = [
    var.project_id,
    var.mirroring,
  ]
}

run "mistakes_18" {
  command = plan

  variables {
    # one project with two numbers
    bridge_principals = {
      a = { project_id = "clusters", project_number = "111111111111" }
      b = { project_id = "clusters", project_number = "222222222222" }
    }
    accept_flux_events = true
    flux_event_principals = {
      a = { project_id = "clusters", project_number = "111111111111" }
      b = { project_id = "clusters", project_number = "222222222222" }
    }
  }

  expect_failures = [
    var.bridge_principals,
    var.flux_event_principals,
  ]
}
