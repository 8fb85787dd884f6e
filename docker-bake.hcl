# The images for both architectures: docker buildx bake
#
# Two builds of one commit give the same content: REVISION and SOURCE_DATE_EPOCH come from it.
#
#   REVISION=$(git rev-parse HEAD) SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) docker buildx bake

variable "REVISION" {
  default = "unknown"
}

variable "SOURCE_DATE_EPOCH" {
  default = "1667260800"
}

variable "TAG" {
  default = "latest"
}

group "default" {
  targets = ["link", "load"]
}

target "common" {
  context   = "."
  platforms = ["linux/amd64", "linux/arm64"]
  args = {
    REVISION          = REVISION
    SOURCE_DATE_EPOCH = SOURCE_DATE_EPOCH
  }
}

target "link" {
  inherits = ["common"]
  target   = "link"
  tags     = ["deconfliction-link:${TAG}"]
}

target "load" {
  inherits = ["common"]
  target   = "load"
  tags     = ["deconfliction-link-load:${TAG}"]
}
