# Sourced by the scripts that run examples: a folder to work in, and a count of what held and what did not.
work=$(mktemp -d)
passed=0 failed=0
check() {  # name, condition as a command
  local name=$1
  shift
  if "$@"; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED: $name"; tail -n 5 log 2>/dev/null; fi
}
summary() {  # the exit status of the script
  echo "$passed passed, $failed failed"
  [ "$failed" -eq 0 ]
}
