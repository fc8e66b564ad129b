#!/usr/bin/env bash
# One big blob from curl to curl, for comparison: nothing is checked on the way.
#   curl-pipe.sh SOURCE_BLOB_URL DESTINATION_URL REPOSITORY DIGEST SIZE_BYTES
set -euo pipefail

begun=$(curl --fail --silent --show-error --request POST --data '' --output /dev/null \
  --dump-header - "$2/v2/$3/blobs/uploads/")
location=$(sed --quiet 's/\r$//; s/^[Ll]ocation: //p' <<<"$begun")
[[ $location == http* ]] || location=$2$location
[[ $location == *\?* ]] && location+='&' || location+='?'

curl --fail --silent --show-error "$1" |
  curl --fail --silent --show-error --output /dev/null --upload-file - --header 'Expect:' \
    --header 'Transfer-Encoding:' --header "Content-Length: $5" "${location}digest=$4"
