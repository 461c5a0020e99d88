// heed completion: shell completion, written from the command tree itself so that it cannot drift.
#include <cstdio>
#include <string>
#include <vector>

#include "cli/command.h"

namespace heed::cli {
namespace {

struct Words {
  std::string path;  // "inspect events"; empty for heed itself
  std::vector<std::string> next;
};

void Collect(const CLI::App& app, const std::string& path, std::vector<Words>* out) {
  Words words{path, {}};
  for (const CLI::App* sub : app.get_subcommands([](const CLI::App*) { return true; })) {
    words.next.push_back(sub->get_name());
  }
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) words.next.push_back("--" + name);
  }
  out->push_back(words);
  for (const CLI::App* sub : app.get_subcommands([](const CLI::App*) { return true; })) {
    Collect(*sub, path.empty() ? sub->get_name() : path + " " + sub->get_name(), out);
  }
}

std::string Join(const std::vector<std::string>& words) {
  std::string line;
  for (const std::string& word : words) line += (line.empty() ? "" : " ") + word;
  return line;
}

void PrintBash(const std::vector<Words>& tree) {
  std::printf(
      "_heed() {\n"
      "  local cur=${COMP_WORDS[COMP_CWORD]} path= word\n"
      "  for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
      "    case $word in -*) ;; *) case \"$path $word\" in\n");
  for (const Words& words : tree) {
    if (!words.path.empty())
      std::printf("      \" %s\") path=\" %s\" ;;\n", words.path.c_str(), words.path.c_str());
  }
  std::printf("    esac ;; esac\n  done\n  case $path in\n");
  for (const Words& words : tree) {
    std::printf("    \"%s%s\") COMPREPLY=($(compgen -W \"%s\" -- \"$cur\")) ;;\n",
                words.path.empty() ? "" : " ", words.path.c_str(), Join(words.next).c_str());
  }
  std::printf(
      "  esac\n"
      "  [ ${#COMPREPLY[@]} -gt 0 ] || COMPREPLY=($(compgen -f -- \"$cur\"))\n"
      "}\n"
      "complete -F _heed heed\n");
}

void PrintFish(const std::vector<Words>& tree) {
  for (const Words& words : tree) {
    const std::string condition =
        words.path.empty() ? "__fish_use_subcommand" : "__fish_seen_subcommand_from " + words.path;
    for (const std::string& word : words.next) {
      if (word.starts_with("--")) {
        std::printf("complete -c heed -n '%s' -l %s\n", condition.c_str(), word.c_str() + 2);
      } else {
        std::printf("complete -c heed -n '%s' -a %s\n", condition.c_str(), word.c_str());
      }
    }
  }
}

}  // namespace

void AddCompletion(CLI::App& app, int* exit_code) {
  auto shell = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("completion", "Print a shell completion script");
  command->footer(
      "Examples:\n  heed completion bash > /etc/bash_completion.d/heed\n"
      "  autoload -U bashcompinit && bashcompinit && source <(heed completion bash)   # zsh\n"
      "  heed completion fish > ~/.config/fish/completions/heed.fish");
  command->add_option("shell", *shell, "bash (also for zsh's bashcompinit) or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "fish"}));
  command->callback([&app, shell, exit_code] {
    std::vector<Words> tree;
    Collect(app, "", &tree);
    if (*shell == "bash") {
      PrintBash(tree);
    } else {
      PrintFish(tree);
    }
    *exit_code = 0;
  });
}

}  // namespace heed::cli
