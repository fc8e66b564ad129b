variable "project_id" {
  description = "Project of all regions' installations."
  type        = string
}

variable "image" {
  description = "The mirror's image by digest."
  type        = string
}

variable "allowed_sources" {
  description = "Images that may be mirrored, in every region."
  type        = list(string)
}

variable "regions" {
  description = "Regions, each with a short name for resources and the clusters that publish there."
  type = map(object({
    short_name = string
    bridge_principals = map(object({
      project_id     = string
      project_number = string
    }))
  }))
}

variable "deletion_protection" {
  description = "Whether nothing of it can be deleted. To uninstall: terraform apply -var deletion_protection=false, then terraform destroy with the same."
  type        = bool
  default     = true
  nullable    = false
}
