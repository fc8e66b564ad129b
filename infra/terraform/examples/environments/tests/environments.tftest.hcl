mock_provider "google" {
  source = "../../tests/mocks"
}

variables {
  # A run applies, and what it has applied is taken away after it.
  deletion_protection = false

  dev   = { project_id = "mirror-dev", cluster_project_id = "clusters-dev", cluster_project_number = "333333333333" }
  prod  = { project_id = "mirror-prod", cluster_project_id = "clusters-prod", cluster_project_number = "444444444444" }
  image = "europe-west1-docker.pkg.dev/images/images/imagerepo-mirror@sha256:1111111111111111111111111111111111111111111111111111111111111111"
}

run "prod_reads_dev" {
  assert {
    condition     = output.registries == { dev = "europe-west1-docker.pkg.dev/mirror-dev/mirror", prod = "europe-west1-docker.pkg.dev/mirror-prod/mirror" }
    error_message = "Each environment has a registry of its own."
  }
}
