#include "media/worker/sandbox.h"

#include <fcntl.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <system_error>

namespace heed::media {
namespace {

struct Release {
  void operator()(void* filter) const { seccomp_release(filter); }
};
using Filter = std::unique_ptr<void, Release>;

Status Failed(const char* what, int error) {
  return Status(Code::kInternal,
                std::string("sandbox: ") + what + ": " + std::system_category().message(error));
}

template <size_t N>
Status AddAll(scmp_filter_ctx filter, uint32_t action, const int (&calls)[N]) {
  for (const int call : calls) {
    if (const int error = seccomp_rule_add(filter, action, call, 0); error != 0) {
      return Failed("seccomp_rule_add", -error);
    }
  }
  return {};
}

Status Load(scmp_filter_ctx filter) {
  const int error = seccomp_load(filter);
  return error == 0 ? Status() : Failed("seccomp_load", -error);
}

}  // namespace

Status LimitProcess() {
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return Failed("no_new_privs", errno);
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return Failed("dumpable", errno);
  if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) return Failed("pdeathsig", errno);
  const auto limit = [](auto resource, rlim_t value) {
    const rlimit both{value, value};
    return setrlimit(resource, &both) == 0 ? Status() : Failed("setrlimit", errno);
  };
  HEED_RETURN_IF_ERROR(limit(RLIMIT_CORE, 0));
  HEED_RETURN_IF_ERROR(limit(RLIMIT_FSIZE, 0));
  HEED_RETURN_IF_ERROR(limit(RLIMIT_NOFILE, 64));
#ifndef HEED_SANITIZED
  HEED_RETURN_IF_ERROR(limit(RLIMIT_AS, rlim_t{1} << 30));
#endif
  return {};
}

Status EnterDecodeSandbox() {
#ifdef HEED_SANITIZED
  // A sanitizer's own calls at the end of a process are many; they fail instead of killing.
  const uint32_t otherwise = SCMP_ACT_ERRNO(EPERM);
#else
  const uint32_t otherwise = SCMP_ACT_KILL_PROCESS;
#endif
  const Filter filter(seccomp_init(otherwise));
  if (filter == nullptr) return Failed("seccomp_init", ENOMEM);
  HEED_RETURN_IF_ERROR(AddAll(filter.get(), SCMP_ACT_ALLOW,
                              {SCMP_SYS(read),
                               SCMP_SYS(write),
                               SCMP_SYS(writev),
                               SCMP_SYS(lseek),
                               SCMP_SYS(fstat),
                               SCMP_SYS(poll),
                               SCMP_SYS(ppoll),
                               SCMP_SYS(close),
                               SCMP_SYS(mmap),
                               SCMP_SYS(munmap),
                               SCMP_SYS(mremap),
                               SCMP_SYS(mprotect),
                               SCMP_SYS(madvise),
                               SCMP_SYS(brk),
                               SCMP_SYS(futex),
                               SCMP_SYS(exit),
                               SCMP_SYS(exit_group),
                               SCMP_SYS(rt_sigreturn),
                               SCMP_SYS(rt_sigaction),
                               SCMP_SYS(rt_sigprocmask),
                               SCMP_SYS(clock_gettime),
                               SCMP_SYS(gettimeofday),
                               SCMP_SYS(getrandom),
                               SCMP_SYS(getpid),
                               SCMP_SYS(gettid),
                               SCMP_SYS(sched_yield),
                               SCMP_SYS(restart_syscall),
                               SCMP_SYS(sched_getaffinity)}));
#ifdef HEED_SANITIZED
  HEED_RETURN_IF_ERROR(AddAll(filter.get(), SCMP_ACT_ALLOW,
                              {SCMP_SYS(sigaltstack), SCMP_SYS(readlink), SCMP_SYS(tgkill)}));
#endif
  HEED_RETURN_IF_ERROR(AddAll(filter.get(), SCMP_ACT_ERRNO(EACCES),
                              {SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(newfstatat),
                               SCMP_SYS(access), SCMP_SYS(ioctl), SCMP_SYS(fcntl)}));
  return Load(filter.get());
}

Status EnterFetchSandbox() {
  const Filter filter(seccomp_init(SCMP_ACT_ALLOW));
  if (filter == nullptr) return Failed("seccomp_init", ENOMEM);
  HEED_RETURN_IF_ERROR(AddAll(filter.get(), SCMP_ACT_KILL_PROCESS,
                              {SCMP_SYS(execve),
                               SCMP_SYS(execveat),
                               SCMP_SYS(fork),
                               SCMP_SYS(vfork),
                               SCMP_SYS(ptrace),
                               SCMP_SYS(process_vm_readv),
                               SCMP_SYS(bpf),
                               SCMP_SYS(process_vm_writev),
                               SCMP_SYS(mount),
                               SCMP_SYS(umount2),
                               SCMP_SYS(pivot_root),
                               SCMP_SYS(chroot),
                               SCMP_SYS(setns),
                               SCMP_SYS(unshare),
                               SCMP_SYS(kexec_load),
                               SCMP_SYS(keyctl),
                               SCMP_SYS(perf_event_open),
                               SCMP_SYS(userfaultfd),
                               SCMP_SYS(io_uring_setup),
                               SCMP_SYS(init_module),
                               SCMP_SYS(finit_module)}));
  HEED_RETURN_IF_ERROR(
      AddAll(filter.get(), SCMP_ACT_ERRNO(EACCES),
             {SCMP_SYS(listen),   SCMP_SYS(accept),  SCMP_SYS(accept4),  SCMP_SYS(unlink),
              SCMP_SYS(unlinkat), SCMP_SYS(rename),  SCMP_SYS(renameat), SCMP_SYS(renameat2),
              SCMP_SYS(mkdir),    SCMP_SYS(mkdirat), SCMP_SYS(chmod),    SCMP_SYS(fchmodat),
              SCMP_SYS(link),     SCMP_SYS(linkat),  SCMP_SYS(symlink),  SCMP_SYS(symlinkat),
              SCMP_SYS(truncate), SCMP_SYS(creat),   SCMP_SYS(kill),     SCMP_SYS(openat2)}));
  const auto writing = [](unsigned argument, int flag) {
    return scmp_arg_cmp{.arg = argument,
                        .op = SCMP_CMP_MASKED_EQ,
                        .datum_a = static_cast<scmp_datum_t>(flag),
                        .datum_b = static_cast<scmp_datum_t>(flag)};
  };
  for (const int flag : {O_WRONLY, O_RDWR, O_CREAT}) {
    for (const auto& [call, argument] : {std::pair{SCMP_SYS(openat), 2u}, {SCMP_SYS(open), 1u}}) {
      const int error =
          seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(EACCES), call, 1, writing(argument, flag));
      if (error != 0) return Failed("seccomp_rule_add", -error);
    }
  }
  return Load(filter.get());
}

}  // namespace heed::media
