// What a process that reads hostile bytes gives up before it reads the first one. Linux only.
#pragma once

#include "base/status.h"

namespace heed::media {

// No new privileges, no core dumps, 1 GiB of memory (not under sanitizers, which reserve terabytes),
// no files, no processes, dies with its parent.
Status LimitProcess();

// The decoder: reads and writes what is open, asks for memory and time, and nothing else. open is
// answered "permission denied" (iconv looks for tables and goes on without); any other system call,
// socket and execve among them, ends the process by SIGSYS.
Status EnterDecodeSandbox();

// The fetch process: network and reading files (resolver, certificates) stay; starting programs,
// listening, writing files, tracing and changing the system end the process or are denied.
Status EnterFetchSandbox();

}  // namespace heed::media
