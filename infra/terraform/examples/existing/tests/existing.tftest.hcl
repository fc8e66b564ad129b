mock_provider "google" {
  source = "../../tests/mocks"

  mock_data "google_monitoring_notification_channel" {
    defaults = {
      name = "projects/my-project/notificationChannels/123"
    }
  }
}

variables {
  # A run applies, and what it has applied is taken away after it.
  deletion_protection = false

  project_id            = "my-project"
  registry_project_id   = "registry-project"
  cluster_project_id    = "clusters-eu"
  cluster_name          = "prod"
  network               = "projects/net/global/networks/shared"
  subnetwork            = "projects/net/regions/europe-west1/subnetworks/run"
  image                 = "europe-west1-docker.pkg.dev/my-project/images/imagerepo-mirror@sha256:1111111111111111111111111111111111111111111111111111111111111111"
  build_service_account = "imagerepo-mirror-build@my-project.iam.gserviceaccount.com"
}

run "fits_into_what_is_there" {
  assert {
    condition     = output.image == var.image
    error_message = "Before the first deployment by the build, the given image runs."
  }

  assert {
    condition     = module.imagerepo_mirror.docker_config_secret == "registry-credentials" && module.imagerepo_mirror.egress_address == null
    error_message = "The secret and the network are the existing ones."
  }
}
