# Several regions: an installation in each, beside its repository and its clusters, so that no byte crosses
# the sea twice and no region waits for another. Each region's clusters publish to their own.

terraform {
  required_version = ">= 1.9.0"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 7.40.0, < 9.0.0"
    }
  }
}

provider "google" {
  project = var.project_id
}

module "imagerepo_mirror" {
  source   = "../.."
  for_each = var.regions

  project_id = var.project_id
  region     = each.key
  # Topics, accounts and metrics are the project's, so that each region's have names of their own.
  name                 = "mirror-${each.value.short_name}"
  image                = var.image
  destination_registry = "${each.key}-docker.pkg.dev/${var.project_id}/mirror"
  allowed_sources      = var.allowed_sources
  bridge_principals    = each.value.bridge_principals
  # Messages stay in the region.
  allowed_persistence_regions = [each.key]
  deletion_protection         = var.deletion_protection
  labels                      = { region = each.key }
}
