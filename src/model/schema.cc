#include "model/schema.h"

#include <algorithm>
#include <cmath>
#include <set>

namespace heed::model {
namespace {

// `names` already seen in this part of the schema.
Status CheckName(const std::string& name, const std::string& what, std::set<std::string>* names) {
  if (name.empty()) return InvalidArgument(what + " without a name", what);
  if (!names->insert(name).second) {
    return InvalidArgument(what + " '" + name + "' comes twice", name);
  }
  return {};
}

}  // namespace

Status Schema::Validate() const {
  std::set<std::string> inputs, sequence_names, task_names;
  for (const FieldSpec& field : fields) {
    HEED_RETURN_IF_ERROR(CheckName(field.name, "field", &inputs));
    if (field.table.empty()) return InvalidArgument("field without a table", field.name);
  }
  for (const NumericSpec& numeric : numerics) {
    HEED_RETURN_IF_ERROR(CheckName(numeric.name, "numeric", &inputs));
  }
  for (const SequenceSpec& sequence : sequences) {
    HEED_RETURN_IF_ERROR(CheckName(sequence.name, "sequence", &sequence_names));
    const auto& tables = sequence.tables;
    if (tables.empty() || std::count(tables.begin(), tables.end(), "") != 0) {
      return InvalidArgument("sequence whose tokens have no parts, or a part without a table",
                             sequence.name);
    }
    if (sequence.max_length == 0) return InvalidArgument("sequence of length 0", sequence.name);
    if (sequence.query_fields.empty()) {
      return InvalidArgument("sequence without a query", sequence.name);
    }
    for (const std::string& query : sequence.query_fields) {
      const auto found = std::find_if(fields.begin(), fields.end(),
                                      [&](const FieldSpec& field) { return field.name == query; });
      if (found == fields.end() || found->side != Side::kCandidate) {
        return InvalidArgument("query '" + query + "' is not a field of the candidate",
                               sequence.name);
      }
    }
  }
  if (tasks.empty()) return InvalidArgument("no task", "tasks");
  for (const TaskSpec& task : tasks) {
    HEED_RETURN_IF_ERROR(CheckName(task.name, "task", &task_names));
    const bool numbers =
        std::isfinite(task.loss_weight) && task.loss_weight >= 0.0f && std::isfinite(task.value);
    if (!numbers) {
      return InvalidArgument("task with a weight or value that is no number", task.name);
    }
    if (task.kind == TaskKind::kBinary) {
      if (task.given.empty() && task.huber_delta == 1.0f) continue;
      return InvalidArgument("probability with a delta or a condition of values", task.name);
    }
    if (!std::isfinite(task.huber_delta) || task.huber_delta <= 0.0f) {
      return InvalidArgument("value whose huber_delta is not a number above 0", task.name);
    }
    const bool known = std::any_of(tasks.begin(), tasks.end(), [&](const TaskSpec& other) {
      return other.name == task.given && other.kind == TaskKind::kBinary;
    });
    if (!task.given.empty() && !known) {
      return InvalidArgument("value of '" + task.given + "', which is no probability", task.name);
    }
  }
  return {};
}

std::vector<size_t> Schema::FieldsOf(Side side) const {
  std::vector<size_t> columns;
  for (size_t i = 0; i < fields.size(); ++i) {
    if (fields[i].side == side) columns.push_back(i);
  }
  return columns;
}

std::vector<size_t> Schema::NumericsOf(Side side) const {
  std::vector<size_t> columns;
  for (size_t i = 0; i < numerics.size(); ++i) {
    if (numerics[i].side == side) columns.push_back(i);
  }
  return columns;
}

}  // namespace heed::model
