#include "media/child.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <system_error>
#include <thread>
#include <utility>

namespace heed::media {
namespace {

int ExitCode(int status) {
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

Fd& Fd::operator=(Fd&& other) noexcept {
  if (this != &other) {
    Close();
    fd_ = other.Release();
  }
  return *this;
}

void Fd::Close() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

int Fd::Release() { return std::exchange(fd_, -1); }

Result<Pipe> MakePipe() {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0)
    return IoError(std::string("pipe: ") + std::system_category().message(errno));
  return Pipe{Fd(fds[0]), Fd(fds[1])};
}

Child& Child::operator=(Child&& other) noexcept {
  if (this != &other) {
    Kill();
    pid_ = std::exchange(other.pid_, -1);
  }
  return *this;
}

Result<Child> Child::Start(const std::string& program, const std::vector<std::string>& arguments,
                           int input, int output, int error) {
  std::vector<char*> argv = {const_cast<char*>(program.c_str())};  // posix_spawn only reads them
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  std::vector<std::string> kept;
  for (const char* name : {"SSL_CERT_FILE", "SSL_CERT_DIR", "ASAN_OPTIONS", "UBSAN_OPTIONS",
                           "TSAN_OPTIONS", "LD_LIBRARY_PATH"}) {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): nobody here changes the environment
    if (const char* value = std::getenv(name)) kept.push_back(std::string(name) + "=" + value);
  }
  std::vector<char*> environment;
  environment.reserve(kept.size() + 1);
  for (std::string& line : kept) environment.push_back(line.data());
  environment.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  const int wanted[] = {input, output, error};
  for (int fd = 0; fd < 3; ++fd) {
    if (wanted[fd] < 0) {
      posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", fd == 0 ? O_RDONLY : O_WRONLY, 0);
    } else {
      posix_spawn_file_actions_adddup2(&actions, wanted[fd], fd);
    }
  }
  posix_spawn_file_actions_addclosefrom_np(&actions, 3);
  Child child;
  const int failed =
      posix_spawn(&child.pid_, program.c_str(), &actions, nullptr, argv.data(), environment.data());
  posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) {
    child.pid_ = -1;
    return IoError("cannot start " + program + ": " + std::system_category().message(failed));
  }
  return child;
}

void Child::Kill() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
}

int Child::Wait(int ms) {
  if (pid_ <= 0) return 0;
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(ms);
  while (true) {
    int status = 0;
    const pid_t ended = waitpid(pid_, &status, WNOHANG);
    if (ended == pid_) {
      pid_ = -1;
      return ExitCode(status);
    }
    if (ended < 0 && errno != EINTR) break;
    if (std::chrono::steady_clock::now() >= until) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  Kill();
  return 128 + SIGKILL;
}

}  // namespace heed::media
