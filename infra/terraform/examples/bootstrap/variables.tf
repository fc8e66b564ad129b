variable "project_id" {
  description = "Project that images are built and kept in."
  type        = string
}

variable "region" {
  description = "Region of the repository and the builds, such as europe-west1."
  type        = string
}

variable "name" {
  description = "Prefix of the account and the bucket, as the module's name."
  type        = string
  default     = "imagerepo-mirror"
}

variable "repository_id" {
  description = "Name of the repository for own images."
  type        = string
  default     = "images"
}

variable "bucket" {
  description = "Name of the bucket for sources, which nobody else in the world may have. Null: PROJECT-NAME-source."
  type        = string
  default     = null
}

variable "labels" {
  description = "Labels of the repository and the bucket."
  type        = map(string)
  default     = {}
}

variable "kms_key_name" {
  description = "Cloud KMS key of the region that repository and bucket are encrypted with; the agents of Artifact Registry and Cloud Storage must be allowed to use it. Null: Google's keys."
  type        = string
  default     = null
}

variable "image_readers" {
  description = "Who may pull the mirror's image: IAM members such as serviceAccount:NODES@PROJECT.iam.gserviceaccount.com, those of clusters' nodes above all."
  type        = list(string)
  default     = []
}

variable "deletion_protection" {
  description = "Whether nothing of it can be deleted. To uninstall: terraform apply -var deletion_protection=false, then terraform destroy with the same."
  type        = bool
  default     = true
  nullable    = false
}
