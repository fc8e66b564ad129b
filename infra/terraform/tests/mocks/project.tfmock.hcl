# What the API would answer, where a plain random text would not do.

mock_data "google_project" {
  defaults = {
    number = "123456789012"
  }
}

mock_data "google_artifact_registry_repository" {
  defaults = {
    format = "DOCKER"
  }
}

mock_data "google_artifact_registry_tags" {
  defaults = {
    tags = []
  }
}

mock_resource "google_service_account" {
  defaults = {
    name   = "projects/my-project/serviceAccounts/mocked-account@my-project.iam.gserviceaccount.com"
    email  = "mocked-account@my-project.iam.gserviceaccount.com"
    member = "serviceAccount:mocked-account@my-project.iam.gserviceaccount.com"
  }
}

# Grants are on what the resource is told to be, not on what was asked for.
mock_resource "google_artifact_registry_repository" {
  defaults = {
    name = "mirror"
  }
}

mock_resource "google_secret_manager_secret" {
  defaults = {
    id = "projects/my-project/secrets/imagerepo-mirror-docker-config"
  }
}
