#include "server/config.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <limits>
#include <set>
#include <sstream>
#include <toml.hpp>
#include <utility>
#include <variant>
#include <vector>

#include "base/suggest.h"

namespace heed {
namespace {

constexpr double kUnbounded = std::numeric_limits<double>::infinity();

struct Field {
  const char* section;
  const char* key;
  std::variant<std::string*, int64_t*, uint64_t*, double*, bool*> value;
  const char* help;  // lines parted by \n
  double low = 0;    // numbers: both included
  double high = kUnbounded;
  std::vector<std::string> choices = {};  // texts: empty for any

  std::string name() const { return std::string(section) + "." + key; }
  std::string variable() const {
    std::string out = "HEED_" + std::string(section) + "_" + key;
    for (char& c : out) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    return out;
  }
};

constexpr double kDay = 86'400'000;
constexpr double kMostWeight = 1e6;
constexpr double kGiB = 1 << 30;

// The one description of every setting.
std::vector<Field> Describe(Config& config) {
  ServerConfig& s = config.server;
  EngineOptions& e = config.engine;
  LogConfig& l = config.log;
  return {
      {"server", "address", &s.address,
       "Where to listen. Any address but a loopback one (127.0.0.1, ::1) needs an API key first:\n"
       "heed keys create"},
      {"server", "port", &s.port, "0 takes any free port and prints it.", 0, 65'535},
      {"server", "threads", &s.threads, "Threads that read requests; 0 is one per core.", 0, 256},
      {"server", "rank_threads", &s.rank_threads, "Threads that rank; 0 is one per core.", 0, 256},
      {"server", "rank_queue", &s.rank_queue,
       "Rankings that may wait for one of these threads; one more is answered 503 with the time\n"
       "after which to try again. It bounds the wait: 32 at 2 ms each are 64 ms.",
       1, 100'000},
      {"server", "recommend_deadline_ms", &s.recommend_deadline_ms,
       "A ranking that is not ready so long after its request came is given up with 503; a "
       "request\n"
       "may name its own as deadline_ms. 0 is none.",
       0, 600'000},
      {"server", "tls_certificate", &s.tls_certificate,
       "PEM files: the certificate with its chain, and its key. Both or neither."},
      {"server", "tls_key", &s.tls_key, ""},
      {"server", "max_connections", &s.max_connections,
       "Open at once; one more is answered 503 and closed.", 1, 1'000'000},
      {"server", "max_target_bytes", &s.max_target_bytes,
       "Path and query of a request; longer is 414.", 64, 65'536},
      {"server", "max_header_bytes", &s.max_header_bytes,
       "Request line and headers together; larger is 431.", 1'024, 1 << 20},
      {"server", "max_body_bytes", &s.max_body_bytes,
       "A body as sent, and the same unpacked when it came compressed; larger is 413.", 1'024,
       kGiB},
      {"server", "max_decompressed_bytes", &s.max_decompressed_bytes, "", 1'024, 4 * kGiB},
      {"server", "max_bytes_in_flight", &s.max_bytes_in_flight,
       "Bodies of all requests being received, together; over it the next is 503.", 1'024,
       1'024 * kGiB},
      {"server", "max_events_per_request", &s.max_events_per_request,
       "Events, and catalog documents, in one request.", 1, 1'000'000},
      {"server", "max_documents_per_request", &s.max_documents_per_request, "", 1, 1'000'000},
      {"server", "idle_timeout_ms", &s.idle_timeout_ms,
       "How long a connection may rest between requests; a request head may take; a request body\n"
       "may take; an answer may take to be read by the client.",
       10, kDay},
      {"server", "header_timeout_ms", &s.header_timeout_ms, "", 10, kDay},
      {"server", "body_timeout_ms", &s.body_timeout_ms, "", 10, kDay},
      {"server", "write_timeout_ms", &s.write_timeout_ms, "", 10, kDay},
      {"server", "shutdown_timeout_ms", &s.shutdown_timeout_ms,
       "At the end, how long requests in flight may take before they are cut.", 0, kDay},
      {"server", "compress_responses", &s.compress_responses,
       "Compress answers over 1 kB for clients that accept gzip."},

      {"engine", "directory", &e.directory, "Everything durable lives below it."},
      {"engine", "max_future_ms", &e.max_future_ms,
       "An event further ahead of this machine's clock is refused.", 0, 7 * kDay},
      {"engine", "room_silent_ms", &e.room_silent_ms,
       "A room without an event for so long is not live.", 1'000, 7 * kDay},
      {"engine", "max_candidates", &e.max_candidates, "Candidates a request may name.", 1, 100'000},
      {"engine", "found_candidates", &e.found_candidates,
       "Candidates looked for when a request names none.", 1, 100'000},
      {"engine", "batch_candidates", &e.batch_candidates,
       "Rankings that wait for one thread are scored together up to so many candidates; none is\n"
       "delayed for it. It pays for small ones: at 10 candidates a quarter more an overloaded "
       "second, at\n"
       "100 nothing. 0 scores each alone.",
       0, 100'000},
      {"engine", "max_queued_events", &e.max_queued_events,
       "Events waiting to be written; over it new ones are refused with 429.", 1, 100'000'000},
      {"engine", "snapshot_every_events", &e.snapshot_every_events,
       "State is written whole after so many events, so that a start replays at most these; and "
       "how\n"
       "many such snapshots are kept.",
       1'000, 1e12},
      {"engine", "snapshots_kept", &e.snapshots_kept, "", 1, 1'000},
      {"engine",
       "ranking_precision",
       &e.ranking_precision,
       "What live models compute in and keep their tables in: fp32, bf16 or int8; see\n"
       "docs/precision.md.",
       0,
       kUnbounded,
       {"fp32", "bf16", "int8"}},
      {"engine", "exploration", &e.exploration,
       "Share of slates whose last place is given to chance, with its probability logged.", 0, 1},
      {"engine", "seed", &e.seed, "Of that chance.", 0, 9e18},

      {"score", "host_enter", &e.score.hosts.enter,
       "What the outcomes of an impression count: an item is ranked by the sum of weight times\n"
       "predicted probability. Of hosts and their rooms:",
       -kMostWeight, kMostWeight},
      {"score", "host_stay", &e.score.hosts.stay, "", -kMostWeight, kMostWeight},
      {"score", "host_engage", &e.score.hosts.engage, "", -kMostWeight, kMostWeight},
      {"score", "host_order", &e.score.hosts.order, "", -kMostWeight, kMostWeight},
      {"score", "product_click", &e.score.products.click,
       "Of products; order_value is the cents that an impression is expected to bring: at .001 "
       "ten\n"
       "yuan weigh as much as a click for certain.",
       -kMostWeight, kMostWeight},
      {"score", "product_cart", &e.score.products.cart, "", -kMostWeight, kMostWeight},
      {"score", "product_order", &e.score.products.order, "", -kMostWeight, kMostWeight},
      {"score", "product_order_value", &e.score.products.order_value, "", -kMostWeight,
       kMostWeight},

      {"learning", "on", &e.learning.on,
       "Models learn from what comes of impressions while they serve; see docs/learning.md. It\n"
       "begins with the first trained model."},
      {"learning", "examples_per_s", &e.learning.examples_per_s,
       "Impressions followed a second, at most; what comes above is counted and left.", 1, 1e6},
      {"learning", "publish_ms", &e.learning.publish_ms,
       "What was learned reaches rankings at most so often: rows of viewers, hosts and products;\n"
       "and all other weights, after each of which cached rows are computed anew.",
       1, kDay},
      {"learning", "publish_dense_ms", &e.learning.publish_dense_ms, "", 1, kDay},
      {"learning", "checkpoint_ms", &e.learning.checkpoint_ms,
       "What was learned is written so often, and at the end.", 1'000, kDay},
      {"learning", "expire_h", &e.learning.expire_h,
       "Hours of event time after which what was learned of a viewer, host or product goes that "
       "no\n"
       "impression had; 0 keeps all.",
       0, 24 * 3650},
      {"learning", "served_rows", &e.learning.served_rows,
       "Decided candidates whose features are kept for their impression, about 3 kB each.", 0, 1e7},

      {"text", "on", &e.text.on,
       "Comments are read: questions, statistics, compliance; see docs/comments.md."},
      {"text", "word_lists", &e.text.word_lists,
       "Files in place of what is part of the program, which an empty name stands for: word "
       "lists;\n"
       "models by heed train with the recipes comment-intent, comment-sentiment and lint-lines; "
       "one\n"
       "that tells offence, where the lists alone do without it; the folder with the compliance\n"
       "packs, which are read again when they change."},
      {"text", "intent_model", &e.text.intent_model, ""},
      {"text", "sentiment_model", &e.text.sentiment_model, ""},
      {"text", "offence_model", &e.text.offence_model, ""},
      {"text", "lint_model", &e.text.lint_model, ""},
      {"text", "packs", &e.text.packs, ""},
      {"text", "dictionary", &e.text.dictionary,
       "Lines of \"word frequency\", as jieba has them, for the words of the statistics. Without "
       "it\n"
       "they are pairs of characters and the names of the room's products."},
      {"text", "max_rooms", &e.text.max_rooms,
       "Rooms read at the same time; then the one silent longest is forgotten, as is one that has\n"
       "been silent for so long.",
       1, 1e6},
      {"text", "room_idle_ms", &e.text.room_idle_ms, "", 1'000, 7 * kDay},
      {"text", "questions_per_room", &e.text.questions_per_room,
       "Questions of the last ten minutes that are kept, about 1 kB each.", 1, 1e6},

      {"broadcast",
       "rooms",
       &e.broadcast.rooms,
       "What may be taken of a room's broadcast where its catalog document does not say: off,\n"
       "measures, or proxies (those and what stands for expression and arousal); see\n"
       "docs/broadcast-law.md.",
       0,
       kUnbounded,
       {"off", "measures", "proxies"}},
      {"broadcast", "model", &e.broadcast.model,
       "A model of moment attention (docs/moments.md) that reads every second of every room;\n"
       "empty: none."},
      {"broadcast", "record_attention", &e.broadcast.record_attention,
       "What it reads of a room on air goes into the event log, one attention.sample a second,\n"
       "and rankings use it. false: it is only shown."},
      {"broadcast", "look_back_ms", &e.broadcast.look_back_ms,
       "How long a second of a broadcast is kept, in memory only.", 1'000, 3'600'000},
      {"broadcast", "max_rooms", &e.broadcast.max_rooms,
       "Rooms kept at the same time, half a MB each at ten minutes; then the one silent longest\n"
       "goes.",
       1, 100'000},
      {"broadcast", "embedding_bytes", &e.broadcast.embedding_bytes,
       "Of the vectors of one room; then the oldest go.", 4'096, kGiB},

      {"log",
       "level",
       &l.level,
       "trace, debug, info, warn, error or off.",
       0,
       kUnbounded,
       {"trace", "debug", "info", "warn", "error", "off"}},
      {"log", "format", &l.format, "text or json.", 0, kUnbounded, {"text", "json"}},
      {"log", "access_every", &l.access_every,
       "One access line per so many requests at level info; 0 for none. Level debug has them all.",
       0, 1e9},
  };
}

// The shortest text that reads back as the same number.
std::string Number(double value) {
  char text[400];
  const auto end = std::to_chars(text, text + sizeof(text), value, std::chars_format::fixed).ptr;
  return {text, end};
}

Status OutOfRange(const Field& field, const std::string& where) {
  return InvalidArgument(where + ": " + field.name() + " must be between " + Number(field.low) +
                             " and " + Number(field.high),
                         field.name());
}

Status WrongType(const Field& field, const std::string& where, const char* wanted) {
  return InvalidArgument(where + ": " + field.name() + " must be " + wanted, field.name());
}

Status SetInteger(const Field& field, int64_t value, const std::string& where) {
  if (static_cast<double>(value) < field.low || static_cast<double>(value) > field.high)
    return OutOfRange(field, where);
  if (auto* const* out = std::get_if<int64_t*>(&field.value)) **out = value;
  if (auto* const* out = std::get_if<uint64_t*>(&field.value)) **out = static_cast<uint64_t>(value);
  return {};
}

Status SetReal(const Field& field, double value, const std::string& where) {
  if (!(value >= field.low && value <= field.high)) return OutOfRange(field, where);  // NaN too
  *std::get<double*>(field.value) = value;
  return {};
}

Status SetText(const Field& field, std::string value, const std::string& where) {
  if (!field.choices.empty() &&
      std::find(field.choices.begin(), field.choices.end(), value) == field.choices.end()) {
    return InvalidArgument(where + ": " + field.name() + " is '" + value + "'" +
                               Suggestion(value, field.choices) + " (" + field.help + ")",
                           field.name());
  }
  *std::get<std::string*>(field.value) = std::move(value);
  return {};
}

Status SetFromToml(const Field& field, const toml::value& value, const std::string& where) {
  if (std::holds_alternative<std::string*>(field.value)) {
    if (!value.is_string()) return WrongType(field, where, "a text in quotes");
    return SetText(field, value.as_string().str, where);
  }
  if (std::holds_alternative<bool*>(field.value)) {
    if (!value.is_boolean()) return WrongType(field, where, "true or false");
    *std::get<bool*>(field.value) = value.as_boolean();
    return {};
  }
  if (std::holds_alternative<double*>(field.value)) {
    if (value.is_integer()) return SetReal(field, static_cast<double>(value.as_integer()), where);
    if (!value.is_floating()) return WrongType(field, where, "a number");
    return SetReal(field, value.as_floating(), where);
  }
  if (!value.is_integer()) return WrongType(field, where, "a whole number");
  return SetInteger(field, value.as_integer(), where);
}

Status SetFromVariable(const Field& field, const std::string& text) {
  const std::string where = "environment variable " + field.variable();
  const char* const end = text.data() + text.size();
  if (std::holds_alternative<std::string*>(field.value)) return SetText(field, text, where);
  if (std::holds_alternative<bool*>(field.value)) {
    if (text != "true" && text != "false") return WrongType(field, where, "true or false");
    *std::get<bool*>(field.value) = text == "true";
    return {};
  }
  if (std::holds_alternative<double*>(field.value)) {
    double value = 0;
    const auto [stop, error] = std::from_chars(text.data(), end, value);
    if (error != std::errc() || stop != end) return WrongType(field, where, "a number");
    return SetReal(field, value, where);
  }
  int64_t value = 0;
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end) return WrongType(field, where, "a whole number");
  return SetInteger(field, value, where);
}

const Field* Find(const std::vector<Field>& fields, std::string_view section,
                  std::string_view key) {
  for (const Field& field : fields)
    if (section == field.section && key == field.key) return &field;
  return nullptr;
}

Status ApplyFile(const toml::value& root, const std::string& name,
                 const std::vector<Field>& fields) {
  std::vector<std::string> sections;
  for (const Field& field : fields)
    if (sections.empty() || sections.back() != field.section) sections.emplace_back(field.section);
  // toml11 keeps tables unordered; by line, so that the first mistake in the file is the one named.
  const auto by_line = [](const toml::value& table) {
    std::vector<std::pair<std::string, const toml::value*>> out;
    for (const auto& [key, value] : table.as_table()) out.emplace_back(key, &value);
    std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) {
      return a.second->location().line() < b.second->location().line();
    });
    return out;
  };
  const auto place = [&](const toml::value& value) {
    return name + ":" + std::to_string(value.location().line());
  };
  for (const auto& [section, table] : by_line(root)) {
    if (std::find(sections.begin(), sections.end(), section) == sections.end())
      return InvalidArgument(place(*table) + ": unknown section or key '" + section + "'" +
                                 Suggestion(section, sections),
                             section);
    if (!table->is_table())
      return InvalidArgument(place(*table) + ": '" + section + "' is a section: write [" + section +
                                 "] on its own line",
                             section);
    for (const auto& [key, value] : by_line(*table)) {
      const Field* field = Find(fields, section, key);
      if (field == nullptr) {
        std::vector<std::string> keys;
        for (const Field& each : fields)
          if (section == each.section) keys.emplace_back(each.key);
        return InvalidArgument(place(*value) + ": unknown key '" + key + "' in [" + section + "]" +
                                   Suggestion(key, keys),
                               section + "." + key);
      }
      HEED_RETURN_IF_ERROR(SetFromToml(*field, *value, place(*value)));
    }
  }
  return {};
}

Status ApplyEnvironment(const Environment& environment, const std::vector<Field>& fields) {
  std::set<std::string> prefixes;
  std::vector<std::string> names;
  for (const Field& field : fields) {
    names.push_back(field.variable());
    prefixes.insert(names.back().substr(0, names.back().find('_', 5) + 1));  // "HEED_SERVER_"
    const auto found = environment.find(names.back());
    if (found != environment.end()) HEED_RETURN_IF_ERROR(SetFromVariable(field, found->second));
  }
  for (const auto& [name, value] : environment) {
    const bool ours =
        std::any_of(prefixes.begin(), prefixes.end(),
                    [&n = name](const auto& prefix) { return n.starts_with(prefix); });
    if (ours && std::find(names.begin(), names.end(), name) == names.end())
      return InvalidArgument("unknown environment variable " + name + Suggestion(name, names),
                             name);
  }
  return {};
}

// What one field alone cannot say.
Status CheckTogether(const Config& config) {
  if (config.server.tls_certificate.empty() != config.server.tls_key.empty())
    return InvalidArgument(
        "server.tls_certificate and server.tls_key: give both or neither",
        config.server.tls_key.empty() ? "server.tls_key" : "server.tls_certificate");
  if (config.server.address.empty())
    return InvalidArgument("server.address must not be empty", "server.address");
  if (config.engine.directory.empty())
    return InvalidArgument("engine.directory must not be empty", "engine.directory");
  return {};
}

// The first line of toml11's message, without its "[error] toml::parse_…:" and with the place.
std::string SyntaxMessage(const toml::exception& error, const std::string& name) {
  std::string text = error.what();
  text.resize(std::min(text.size(), text.find('\n')));
  for (const std::string_view prefix : {"[error] ", "toml::"})
    if (text.starts_with(prefix)) text.erase(0, prefix.size());
  return name + ":" + std::to_string(error.location().line()) + ": not TOML: " + text;
}

std::string Quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

}  // namespace

Environment CurrentEnvironment() {
  Environment out;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const size_t equals = text.find('=');
    if (equals != std::string_view::npos)
      out.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return out;
}

Result<Config> ParseConfig(std::string_view text, const std::string& name,
                           const Environment& environment) {
  Config config;
  const std::vector<Field> fields = Describe(config);
  try {
    std::istringstream in{std::string(text)};
    HEED_RETURN_IF_ERROR(ApplyFile(toml::parse(in, name), name, fields));
  } catch (const toml::exception& error) {
    return InvalidArgument(SyntaxMessage(error, name));
  } catch (const std::exception& error) {  // toml11 lets some library errors through
    return InvalidArgument(name + ": not TOML: " + error.what());
  }
  HEED_RETURN_IF_ERROR(ApplyEnvironment(environment, fields));
  HEED_RETURN_IF_ERROR(CheckTogether(config));
  return config;
}

Result<Config> LoadConfig(const std::string& path, const Environment& environment) {
  if (path.empty()) return ParseConfig("", "", environment);
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  if (!in) return Status(Code::kIo, "cannot read " + path);
  return ParseConfig(text.str(), path, environment);
}

std::string ConfigToToml(const Config& config) {
  Config copy = config;
  std::ostringstream out;
  out << "# Settings of Heed, with their defaults. Each can also be given as an environment "
         "variable:\n"
         "# HEED_SERVER_PORT=9000 stands for port = 9000 under [server], and wins over this file.\n"
         "# Times are milliseconds, sizes are bytes.\n";
  std::string section;
  for (const Field& field : Describe(copy)) {
    if (section != field.section) out << "\n[" << (section = field.section) << "]\n";
    std::istringstream help{std::string(field.help)};
    for (std::string line; std::getline(help, line);) out << "# " << line << "\n";
    out << field.key << " = ";
    if (auto* const* text = std::get_if<std::string*>(&field.value)) out << Quoted(**text);
    if (auto* const* integer = std::get_if<int64_t*>(&field.value)) out << **integer;
    if (auto* const* natural = std::get_if<uint64_t*>(&field.value)) out << **natural;
    if (auto* const* real = std::get_if<double*>(&field.value)) out << Number(**real);
    if (auto* const* flag = std::get_if<bool*>(&field.value)) out << (**flag ? "true" : "false");
    out << "\n";
  }
  return out.str();
}

}  // namespace heed
