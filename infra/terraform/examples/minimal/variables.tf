variable "project_id" {
  description = "Project of everything here, the cluster too."
  type        = string
}

variable "project_number" {
  description = "Number of the cluster's project."
  type        = string
}

variable "image" {
  description = "The mirror's image by digest, as the build prints it."
  type        = string
}

variable "deletion_protection" {
  description = "Whether nothing of it can be deleted. To uninstall: terraform apply -var deletion_protection=false, then terraform destroy with the same."
  type        = bool
  default     = true
  nullable    = false
}
