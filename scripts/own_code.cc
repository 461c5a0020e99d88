// A check for clang-tidy that reports nothing: it comes first, and leaves the others only the declarations
// that are not in system headers. Newer versions of clang-tidy can do without.
#include <clang-tidy/ClangTidyCheck.h>
#include <clang-tidy/ClangTidyModule.h>
#include <clang-tidy/ClangTidyModuleRegistry.h>
#include <clang/AST/ASTContext.h>
#include <clang/ASTMatchers/ASTMatchFinder.h>

namespace {

class OwnCode : public clang::tidy::ClangTidyCheck {
 public:
  using ClangTidyCheck::ClangTidyCheck;

  void registerMatchers(clang::ast_matchers::MatchFinder* finder) override {
    finder->addMatcher(clang::ast_matchers::translationUnitDecl().bind("all"), this);
  }

  // Called at the root, before the walk asks the context for the root's children.
  void check(const clang::ast_matchers::MatchFinder::MatchResult& found) override {
    std::vector<clang::Decl*> own;
    for (clang::Decl* decl : found.Context->getTranslationUnitDecl()->decls()) {
      if (!found.SourceManager->isInSystemHeader(decl->getLocation())) own.push_back(decl);
    }
    found.Context->setTraversalScope(own);
  }
};

class OwnCodeModule : public clang::tidy::ClangTidyModule {
 public:
  void addCheckFactories(clang::tidy::ClangTidyCheckFactories& factories) override {
    factories.registerCheck<OwnCode>("heed-own-code");
  }
};

const clang::tidy::ClangTidyModuleRegistry::Add<OwnCodeModule> kAdded("heed", "Only our own code.");

}  // namespace
