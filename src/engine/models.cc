#include "engine/models.h"

#include <utility>

#include "base/log.h"
#include "base/suggest.h"

namespace heed::engine {
namespace {

using train::LiveRanker;

constexpr size_t kKept = 5;

const char* NameOf(LiveRanker which) { return which == LiveRanker::kHosts ? "hosts" : "products"; }

const model::Schema& SchemaOf(LiveRanker which) {
  return which == LiveRanker::kHosts ? model::HostSchema() : model::ProductSchema();
}

Status NoLearning() { return {Code::kConflict, "learning is off (engine.learning.on)"}; }

}  // namespace

Models::Models(const EngineOptions& options, kernels::Precision precision)
    : precision_(precision),
      files_(options.directory + "/models", kKept),
      served_(options.learning.on ? options.learning.served_rows : 0) {
  if (options.learning.on) {
    learner_ = std::make_unique<Learner>(options.learning, precision, options.directory + "/models",
                                         &served_, &hosts_, &products_);
  }
}

Status Models::Open(uint64_t last_sequence) {
  const std::lock_guard lock(mutex_);
  if (learner_ != nullptr) learner_->StartAt(last_sequence);
  for (const LiveRanker which : {LiveRanker::kHosts, LiveRanker::kProducts}) {
    const ModelFiles::Loaded active = files_.LoadActive(NameOf(which), SchemaOf(which));
    if (active.ranker == nullptr) continue;
    HEED_RETURN_IF_ERROR(Serve(which, active.version, active.ranker, /*resume=*/true));
  }
  return {};
}

Status Models::Serve(LiveRanker which, const std::string& version,
                     const std::shared_ptr<model::Ranker>& ranker, bool resume) {
  if (learner_ == nullptr) {
    HandleOf(which).Publish(infer::ServingModel::Make(version, ranker, precision_));
    return {};
  }
  std::shared_ptr<model::Ranker> shadow;
  if (const std::string& other = files_.ReadRoles(NameOf(which)).shadow; !other.empty()) {
    Result<std::shared_ptr<model::Ranker>> loaded = files_.Load(other, SchemaOf(which));
    if (loaded.ok()) {
      shadow = std::move(loaded).value();
    } else {
      LogError("shadow {} is refused, {} is judged by itself: {}", other, version,
               loaded.status().ToString());
    }
  }
  return learner_->Serve(which, version, ranker, shadow, resume);
}

Result<std::string> Models::Add(LiveRanker which, const std::shared_ptr<model::Ranker>& ranker) {
  const std::lock_guard lock(mutex_);
  HEED_ASSIGN_OR_RETURN(std::string version, files_.Save(NameOf(which), *ranker));
  // What judged the model before does not judge another one.
  HEED_RETURN_IF_ERROR(files_.WriteRoles(NameOf(which), {.active = version, .shadow = {}}));
  HEED_RETURN_IF_ERROR(Serve(which, version, ranker, /*resume=*/false));
  return version;
}

Result<LiveRanker> Models::Named(const std::string& name) const {
  for (const LiveRanker which : {LiveRanker::kHosts, LiveRanker::kProducts}) {
    if (name == NameOf(which)) return which;
  }
  return NotFound("no model '" + name + "'" + Suggestion(name, {"hosts", "products"}));
}

Status Models::Activate(const std::string& version) {
  const std::string name = ModelFiles::NameOf(version);
  HEED_ASSIGN_OR_RETURN(const LiveRanker which, Named(name));
  const std::lock_guard lock(mutex_);
  HEED_ASSIGN_OR_RETURN(const std::shared_ptr<model::Ranker> ranker,
                        files_.Load(version, SchemaOf(which)));
  ModelRoles roles = files_.ReadRoles(name);
  roles.active = version;
  HEED_RETURN_IF_ERROR(files_.WriteRoles(name, roles));
  return Serve(which, version, ranker, /*resume=*/false);
}

Status Models::SetShadow(const std::string& version) {
  const std::string name = ModelFiles::NameOf(version);
  HEED_ASSIGN_OR_RETURN(const LiveRanker which, Named(name));
  if (learner_ == nullptr) return NoLearning();
  const std::lock_guard lock(mutex_);
  HEED_ASSIGN_OR_RETURN(const std::shared_ptr<model::Ranker> ranker,
                        files_.Load(version, SchemaOf(which)));
  HEED_RETURN_IF_ERROR(learner_->SetShadow(which, ranker));
  ModelRoles roles = files_.ReadRoles(name);
  roles.shadow = version;
  return files_.WriteRoles(name, roles);
}

Status Models::RollBack(const std::string& name) {
  HEED_ASSIGN_OR_RETURN(const LiveRanker which, Named(name));
  return learner_ == nullptr ? NoLearning() : learner_->RollBack(which);
}

Status Models::SetLearning(const std::string& name, bool on) {
  HEED_ASSIGN_OR_RETURN(const LiveRanker which, Named(name));
  return learner_ == nullptr ? NoLearning() : learner_->SetLearning(which, on);
}

std::vector<ModelInfo> Models::Infos() const {
  std::vector<ModelInfo> infos;
  const std::lock_guard lock(mutex_);
  for (const LiveRanker which : {LiveRanker::kHosts, LiveRanker::kProducts}) {
    const auto serving = handle(which).Get();
    const std::string shadow = files_.ReadRoles(NameOf(which)).shadow;
    for (const std::string& version : files_.Versions(NameOf(which))) {
      // A learning model serves as "hosts-000003+1234".
      const bool active =
          serving != nullptr && serving->version.substr(0, serving->version.find('+')) == version;
      infos.push_back({.name = NameOf(which),
                       .version = version,
                       .active = active,
                       .shadow = shadow.empty() ? active : version == shadow,
                       .parameters = active ? serving->ranker->parameter_count() : 0});
    }
  }
  return infos;
}

std::vector<LearningStats> Models::Learning() const {
  return learner_ == nullptr ? std::vector<LearningStats>() : learner_->Stats();
}

void Models::Decided(Target target, const RecommendRequest& request,
                     const RecommendResponse& response, const decide::Decider::Served& served) {
  if (learner_ == nullptr || served.features == nullptr) return;
  const bool hosts = target == Target::kHosts;
  const model::Schema& schema = SchemaOf(hosts ? LiveRanker::kHosts : LiveRanker::kProducts);
  for (size_t i = 0; i < response.items.size(); ++i) {
    auto features = std::make_shared<model::Batch>();
    features->Clear(schema);
    model::AppendRow(schema, *served.features, served.shown[i], features.get());
    const RankedItem& item = response.items[i];
    served_.Add(request.tenant, response.decision_id, hosts ? item.room : item.id,
                std::move(features));
  }
}

}  // namespace heed::engine
