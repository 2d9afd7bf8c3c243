"""Explicit catalogues: a name, and the dotted path of the class behind it. Nothing is imported until it is asked for.

Third parties add rows through the entry-point groups ``threatloop.attacks``, ``threatloop.defences`` and
``threatloop.metrics``. Such a row is used only after the user enabled its distribution (``plugins:`` in the spec).
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any, Generic, TypeVar, cast

from threatloop.core.defence import Defence
from threatloop.core.errors import InputError
from threatloop.core.metric import Metric
from threatloop.core.step import Step

K = TypeVar("K")


def nearest(name: str, allowed: Iterable[str]) -> str:
    """`` (did you mean 'x'?)``, or nothing where no allowed name is close."""
    close = difflib.get_close_matches(name, list(allowed), n=1, cutoff=0.5)
    return f" (did you mean {close[0]!r}?)" if close else ""


@dataclass
class Catalogue(Generic[K]):
    """Names of one kind of thing.

    Attributes:
        kind: ``attack``, ``defence`` or ``metric``.
        rows: name → ``package.module:Class``.
        enabled: rows from distributions that the user enabled.
    """

    kind: str
    rows: dict[str, str]
    enabled: dict[str, str] = field(default_factory=dict)

    def names(self) -> tuple[str, ...]:
        return tuple(sorted({**self.rows, **self.enabled}))

    def path(self, name: str) -> str:
        """The dotted path of a row.

        Raises:
            InputError: no such row; names the nearest one and all that are allowed.
        """
        found = self.rows.get(name) or self.enabled.get(name)
        if found is None:
            allowed = ", ".join(self.names())
            raise InputError(f"unknown {self.kind} {name!r}{nearest(name, self.names())}; allowed: {allowed}")
        return found

    def load(self, name: str) -> type[K]:
        """The class of a row, imported now."""
        module, _, attribute = self.path(name).partition(":")
        return cast("type[K]", getattr(importlib.import_module(module), attribute))

    def name_of(self, cls: type[Any]) -> str:
        """The row's name for a class of this catalogue."""
        path = f"{cls.__module__}:{cls.__qualname__}"
        for name, row in {**self.rows, **self.enabled}.items():
            if row == path:
                return name
        raise InputError(f"{path} is no {self.kind} of the catalogue")

    def enable(self, distributions: Iterable[str]) -> None:
        """Add the entry points of these installed distributions.

        Raises:
            InputError: a distribution is not installed, or takes a name that exists.
        """
        for distribution in distributions:
            for name, path in _entry_points(f"threatloop.{self.kind}s", distribution).items():
                if name in self.rows or self.enabled.get(name, path) != path:
                    raise InputError(f"plugin {distribution}: the {self.kind} name {name!r} is taken; rename it there")
                self.enabled[name] = path


def _entry_points(group: str, distribution: str) -> dict[str, str]:
    try:
        found = metadata.distribution(distribution).entry_points
    except metadata.PackageNotFoundError:
        raise InputError(f"plugin {distribution!r} is not installed; install it or take it out of `plugins`") from None
    return {point.name: point.value for point in found if point.group == group}


_A, _D, _M = "threatloop.attacks", "threatloop.defences", "threatloop.metrics"

ATTACKS: Catalogue[Step[Any]] = Catalogue(
    "attack",
    {
        "watermark_removal": f"{_A}.data_to_data.watermark_removal:WatermarkRemoval",
        "known_plaintext": f"{_A}.data_to_data.known_plaintext:KnownPlaintext",
        "jigsaw": f"{_A}.data_to_data.jigsaw:Jigsaw",
        "instahide_decoding": f"{_A}.data_to_data.instahide_decoding:InstaHideDecoding",
        "class_average": f"{_A}.data_to_data.class_average:ClassAverage",
        "compression": f"{_A}.data_to_data.compression:Compression",
        "denoising": f"{_A}.data_to_data.denoising:Denoising",
        "geometric": f"{_A}.data_to_data.geometric:Geometric",
        "regeneration": f"{_A}.data_to_data.regeneration:Regeneration",
        "collusion": f"{_A}.data_to_data.collusion:Collusion",
        "detector_removal": f"{_A}.data_to_data.detector_removal:DetectorRemoval",
        "substitution": f"{_A}.data_to_data.substitution:Substitution",
        "paraphrase": f"{_A}.data_to_data.paraphrase:Paraphrase",
        "homoglyphs": f"{_A}.data_to_data.homoglyphs:Homoglyphs",
        "identity": f"{_A}.data_to_data.identity:Identity",
        "fgsm": f"{_A}.data_to_data.fgsm:FGSM",
        "fab": f"{_A}.data_to_data.fab:FAB",
        "square": f"{_A}.data_to_data.square_attack:SquareAttack",
        "autoattack": f"{_A}.data_to_data.autoattack:AutoAttack",
        "hopskipjump": f"{_A}.data_to_data.hopskipjump:HopSkipJump",
        "pgd": f"{_A}.data_to_data.pgd:PGD",
        "apgd_ce": f"{_A}.data_to_data.apgd_ce:AutoPGD",
        "apgd_t": f"{_A}.data_to_data.apgd_t:TargetedAutoPGD",
        "carlini_wagner": f"{_A}.data_to_data.carlini_wagner:CarliniWagner",
        "transfer": f"{_A}.data_to_data.transfer:Transfer",
        "surrogate_transfer": f"{_A}.data_to_data.surrogate_transfer:SurrogateTransfer",
        "badnets": f"{_A}.data_to_model.badnets:BadNets",
        "label_flip": f"{_A}.data_to_model.label_flip:LabelFlip",
        "honest_contribution": f"{_A}.data_to_model.honest:HonestContribution",
        "feature_noise": f"{_A}.data_to_model.feature_noise:FeatureNoise",
        "blended": f"{_A}.data_to_model.blended:Blended",
        "wanet": f"{_A}.data_to_model.wanet:WaNet",
        "clean_label_backdoor": f"{_A}.data_to_model.clean_label:CleanLabelBackdoor",
        "gradient_matching": f"{_A}.data_to_model.gradient_matching:GradientMatching",
        "truth_serum": f"{_A}.data_to_model.truth_serum:TruthSerum",
        "trigger_tuning": f"{_A}.data_to_model.trigger_tuning:TriggerTuning",
        "harmful_tuning": f"{_A}.data_to_model.harmful_tuning:HarmfulTuning",
        "prompt_transform": f"{_A}.data_to_model.prompt_transform:PromptTransform",
        "gcg": f"{_A}.data_to_model.gcg:GCG",
        "iterative_refinement": f"{_A}.data_to_model.iterative_refinement:IterativeRefinement",
        "introspection": f"{_A}.data_to_model.introspection:Introspection",
        "self_rewriting": f"{_A}.data_to_model.self_rewriting:SelfRewriting",
        "preference_search": f"{_A}.data_to_model.preference_search:PreferenceSearch",
        "prompt_injection": f"{_A}.data_to_model.prompt_injection:PromptInjection",
        "plain_question": f"{_A}.data_to_model.plain_question:PlainQuestion",
        "mislabelled_noise": f"{_A}.data_to_model.mislabelled_noise:MislabelledNoise",
        "knockoff": f"{_A}.model_to_model.knockoff:Knockoff",
        "surrogate": f"{_A}.model_to_model.surrogate:Surrogate",
        "active_theft": f"{_A}.model_to_model.active_theft:ActiveTheft",
        "active_surrogate": f"{_A}.model_to_model.active_surrogate:ActiveSurrogate",
        "jacobian_augmentation": f"{_A}.model_to_model.jacobian_augmentation:JacobianAugmentation",
        "jacobian_surrogate": f"{_A}.model_to_model.jacobian_surrogate:JacobianSurrogate",
        "data_free_theft": f"{_A}.model_to_model.data_free_theft:DataFreeTheft",
        "majority_clone": f"{_A}.model_to_model.majority_clone:MajorityClone",
        "architecture_inference": f"{_A}.model_to_model.architecture_inference:ArchitectureInference",
        "architecture_guess": f"{_A}.model_to_model.architecture_guess:ArchitectureGuess",
        "text_distillation": f"{_A}.model_to_model.text_distillation:TextDistillation",
        "text_surrogate": f"{_A}.model_to_model.text_surrogate:TextSurrogate",
        "last_layer_stealing": f"{_A}.model_to_model.last_layer_stealing:LastLayerStealing",
        "projection_guess": f"{_A}.model_to_model.projection_guess:ProjectionGuess",
        "loss_threshold": f"{_A}.model_to_data.loss_threshold:LossThreshold",
        "lira": f"{_A}.model_to_data.lira:Lira",
        "confidence_threshold": f"{_A}.model_to_data.confidence_threshold:ConfidenceThreshold",
        "entropy_threshold": f"{_A}.model_to_data.entropy_threshold:EntropyThreshold",
        "modified_entropy_threshold": f"{_A}.model_to_data.modified_entropy_threshold:ModifiedEntropyThreshold",
        "rmia": f"{_A}.model_to_data.rmia:Rmia",
        "attack_model": f"{_A}.model_to_data.attack_model:AttackModel",
        "attribute_inference": f"{_A}.model_to_data.attribute_inference:AttributeInference",
        "attribute_imputation": f"{_A}.model_to_data.attribute_imputation:AttributeImputation",
        "property_inference": f"{_A}.model_to_data.property_inference:PropertyInference",
        "property_guess": f"{_A}.model_to_data.property_guess:PropertyGuess",
        "label_only_membership": f"{_A}.model_to_data.label_only_membership:LabelOnlyMembership",
        "prior_membership": f"{_A}.model_to_data.prior_membership:PriorMembership",
        "gradient_inversion": f"{_A}.model_to_data.inversion:GradientInversion",
        "inversion_network": f"{_A}.model_to_data.inversion_network:InversionNetwork",
        "generative_inversion": f"{_A}.model_to_data.generative_inversion:GenerativeInversion",
        "label_only_inversion": f"{_A}.model_to_data.label_only_inversion:LabelOnlyInversion",
        "generative_guess": f"{_A}.model_to_data.generative_guess:GenerativeGuess",
        "prior_guess": f"{_A}.model_to_data.prior_guess:PriorGuess",
        "token_membership": f"{_A}.model_to_data.token_membership:TokenMembership",
        "reference_membership": f"{_A}.model_to_data.reference_membership:ReferenceMembership",
        "preference_membership": f"{_A}.model_to_data.preference_membership:PreferenceMembership",
        "margin_membership": f"{_A}.model_to_data.margin_membership:MarginMembership",
        "prompt_extraction": f"{_A}.model_to_data.prompt_extraction:PromptExtraction",
        "prompt_guess": f"{_A}.model_to_data.prompt_guess:PromptGuess",
        "embedding_inversion": f"{_A}.model_to_data.embedding_inversion:EmbeddingInversion",
        "nearest_text": f"{_A}.model_to_data.nearest_text:NearestText",
        "canary_extraction": f"{_A}.model_to_data.canary_extraction:CanaryExtraction",
        "canary_exposure": f"{_A}.model_to_data.canary_exposure:CanaryExposure",
        "reference_exposure": f"{_A}.model_to_data.reference_exposure:ReferenceExposure",
        "verbatim_extraction": f"{_A}.model_to_data.verbatim_extraction:VerbatimExtraction",
        "reference_continuation": f"{_A}.model_to_data.reference_continuation:ReferenceContinuation",
    },
)

DEFENCES: Catalogue[Defence] = Catalogue(
    "defence",
    {
        "watermark_gate": f"{_D}.data.watermark_gate:WatermarkGate",
        "spread_spectrum": f"{_D}.data.spread_spectrum:SpreadSpectrum",
        "block_scramble": f"{_D}.data.block_scramble:BlockScramble",
        "etc": f"{_D}.data.etc:EncryptionThenCompression",
        "pixel_encryption": f"{_D}.data.pixel_encryption:PixelEncryption",
        "instahide": f"{_D}.data.instahide:InstaHide",
        "dwt_dct_svd": f"{_D}.data.dwt_dct_svd:DwtDctSvd",
        "learned_mark": f"{_D}.data.learned_mark:LearnedMark",
        "green_list": f"{_D}.data.green_list:GreenList",
        "gumbel": f"{_D}.data.gumbel:Gumbel",
        "label_noise_filter": f"{_D}.data.label_noise_filter:LabelNoiseFilter",
        "spectral_signatures": f"{_D}.data.spectral_signatures:SpectralSignatures",
        "activation_clustering": f"{_D}.data.activation_clustering:ActivationClustering",
        "knn_filter": f"{_D}.data.knn_filter:KnnFilter",
        "near_duplicates": f"{_D}.data.near_duplicates:NearDuplicates",
        "tuning_screen": f"{_D}.data.tuning_screen:TuningScreen",
        "fine_pruning": f"{_D}.model.fine_pruning:FinePruning",
        "attention_distillation": f"{_D}.model.attention_distillation:AttentionDistillation",
        "trigger_inversion": f"{_D}.model.trigger_inversion:TriggerInversion",
        "trigger_unlearning": f"{_D}.model.trigger_unlearning:TriggerUnlearning",
        "retraining_unlearning": f"{_D}.model.retraining_unlearning:RetrainingUnlearning",
        "distilled_unlearning": f"{_D}.model.distilled_unlearning:DistilledUnlearning",
        "realignment": f"{_D}.model.realignment:Realignment",
        "adapter_subtraction": f"{_D}.model.adapter_subtraction:AdapterSubtraction",
        "safe_lora": f"{_D}.model.safe_lora:SafeLora",
        "label_smoothing": f"{_D}.training.label_smoothing:LabelSmoothing",
        "dp_sgd": f"{_D}.training.dp_sgd:DPSGD",
        "adversarial_training": f"{_D}.training.adversarial_training:AdversarialTraining",
        "trades": f"{_D}.training.trades:Trades",
        "mixup": f"{_D}.training.mixup:Mixup",
        "early_stopping": f"{_D}.training.early_stopping:EarlyStopping",
        "anti_backdoor": f"{_D}.training.anti_backdoor:AntiBackdoor",
        "contrastive_pretraining": f"{_D}.training.contrastive_pretraining:ContrastivePretraining",
        "refusal_mixing": f"{_D}.training.refusal_mixing:RefusalMixing",
        "proximal_tuning": f"{_D}.training.proximal_tuning:ProximalTuning",
        "lisa": f"{_D}.training.lisa:Lisa",
        "perturbation_aware": f"{_D}.training.perturbation_aware:PerturbationAware",
        "rounding": f"{_D}.serving.rounding:Rounding",
        "labels_only": f"{_D}.serving.labels_only:LabelsOnly",
        "top_k": f"{_D}.serving.top_k:TopK",
        "temperature": f"{_D}.serving.temperature:Temperature",
        "answer_noise": f"{_D}.serving.answer_noise:AnswerNoise",
        "reverse_sigmoid": f"{_D}.serving.reverse_sigmoid:ReverseSigmoid",
        "memguard": f"{_D}.serving.memguard:MemGuard",
        "gradient_redirection": f"{_D}.serving.gradient_redirection:GradientRedirection",
        "input_purification": f"{_D}.serving.input_purification:InputPurification",
        "strip": f"{_D}.serving.strip:Strip",
        "injection_classifier": f"{_D}.serving.injection_classifier:InjectionClassifier",
        "perplexity_filter": f"{_D}.serving.perplexity_filter:PerplexityFilter",
        "smooth_llm": f"{_D}.serving.smooth_llm:SmoothLLM",
        "self_reminder": f"{_D}.serving.self_reminder:SelfReminder",
        "memorisation_filter": f"{_D}.serving.memorisation_filter:MemorisationFilter",
        "prompt_filter": f"{_D}.serving.prompt_filter:PromptFilter",
        "embedding_noise": f"{_D}.serving.embedding_noise:EmbeddingNoise",
        "embedding_rotation": f"{_D}.serving.embedding_rotation:EmbeddingRotation",
        "pii_filter": f"{_D}.serving.pii_filter:PiiFilter",
        "logprob_restriction": f"{_D}.serving.logprob_restriction:LogprobRestriction",
        "prada": f"{_D}.monitor.prada:Prada",
        "query_similarity": f"{_D}.monitor.query_similarity:QuerySimilarity",
        "query_budget": f"{_D}.monitor.query_budget:QueryBudget",
        "backdoor_watermark": f"{_D}.verification.backdoor_watermark:BackdoorWatermark",
        "entangled_watermark": f"{_D}.verification.entangled_watermark:EntangledWatermark",
        "dataset_inference": f"{_D}.verification.dataset_inference:DatasetInference",
        "backdoor_mark": f"{_D}.verification.backdoor_mark:BackdoorMark",
        "radioactive_data": f"{_D}.verification.radioactive_data:RadioactiveData",
        "release_battery": f"{_D}.verification.release_battery:ReleaseBattery",
    },
)

METRICS: Catalogue[Metric] = Catalogue(
    "metric",
    {
        "watermark_escapes": f"{_M}.watermark:WatermarkEscapes",
        "text_watermark_escapes": f"{_M}.text_watermark:TextWatermarkEscapes",
        "text_fidelity": f"{_M}.text_fidelity:TextFidelity",
        "decryption": f"{_M}.decryption:Decryption",
        "image_quality": f"{_M}.image_quality:ImageQuality",
        "trained_accuracy": f"{_M}.accuracy:TrainedAccuracy",
        "attack_success": f"{_M}.backdoor:AttackSuccess",
        "backdoor_inherited": f"{_M}.backdoor:BackdoorInherited",
        "clean_accuracy": f"{_M}.clean_accuracy:CleanAccuracy",
        "accuracy_loss": f"{_M}.clean_accuracy:AccuracyLoss",
        "clone_accuracy": f"{_M}.clean_accuracy:CloneAccuracy",
        "architecture_inference": f"{_M}.architecture_inference:ArchitectureInference",
        "reply_agreement": f"{_M}.reply_agreement:ReplyAgreement",
        "projection_recovered": f"{_M}.projection_recovered:ProjectionRecovered",
        "fidelity": f"{_M}.fidelity:Fidelity",
        "targeted_success": f"{_M}.targeted:TargetedSuccess",
        "compliance": f"{_M}.compliance:Compliance",
        "jailbreak_success": f"{_M}.jailbreak:JailbreakSuccess",
        "trigger_success": f"{_M}.trigger_success:TriggerSuccess",
        "text_quality": f"{_M}.text_quality:TextQuality",
        "flip_success": f"{_M}.flip_success:FlipSuccess",
        "attribute_inference": f"{_M}.attribute_inference:AttributeInferred",
        "property_inference": f"{_M}.property_inference:PropertyInferred",
        "membership": f"{_M}.membership:Membership",
        "inversion": f"{_M}.inversion:Inversion",
        "canary_recall": f"{_M}.canary_recall:CanaryRecall",
        "canary_exposure": f"{_M}.canary_exposure:CanaryExposed",
        "prompt_recovery": f"{_M}.prompt_recovery:PromptRecovery",
        "text_inversion": f"{_M}.text_inversion:TextInversion",
        "verbatim": f"{_M}.verbatim:Verbatim",
        "evasion": f"{_M}.evasion:EvasionSuccess",
    },
)


def enable_plugins(distributions: Iterable[str]) -> None:
    """Enable installed distributions in all catalogues."""
    names = tuple(distributions)
    for catalogue in (ATTACKS, DEFENCES, METRICS):
        catalogue.enable(names)


def exclusions(names: Iterable[str]) -> dict[str, frozenset[str]]:
    """By name, the defences that each cannot be combined with; of names that no catalogue has, nothing is known."""
    known = set(DEFENCES.names())
    return {name: frozenset(DEFENCES.load(name).info.excludes) for name in names if name in known}
