"""Which globals a benign pickle uses, and which no model file has any business with."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from enum import IntEnum

from threatloop.supply_chain.model_files.pickles.values import Name


class Grade(IntEnum):
    """What is known of a global."""

    KNOWN = 0
    UNKNOWN = 1
    INDIRECT = 2
    DANGEROUS = 3


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_BUILTINS = _words(
    "bool bytearray bytes complex dict float frozenset int list object range set slice str tuple type long unicode "
    "xrange Ellipsis NotImplemented"
)
_REBUILD = _words(
    "_rebuild_tensor _rebuild_tensor_v2 _rebuild_tensor_v3 _rebuild_parameter _rebuild_parameter_with_state "
    "_rebuild_qtensor _rebuild_sparse_tensor _rebuild_sparse_csr_tensor _rebuild_meta_tensor_no_storage "
    "_rebuild_device_tensor_from_numpy _rebuild_wrapper_subclass _rebuild_nested_tensor"
)
_TORCH = _words(
    "Size device dtype Tensor FloatStorage DoubleStorage HalfStorage BFloat16Storage ByteStorage CharStorage "
    "ShortStorage IntStorage LongStorage BoolStorage ComplexFloatStorage ComplexDoubleStorage QInt8Storage "
    "QUInt8Storage QInt32Storage QUInt4x2Storage QUInt2x4Storage FloatTensor DoubleTensor HalfTensor BFloat16Tensor "
    "ByteTensor CharTensor ShortTensor IntTensor LongTensor BoolTensor float32 float64 float16 bfloat16 uint8 int8 "
    "int16 int32 int64 bool complex32 complex64 complex128 float8_e4m3fn float8_e5m2 float8_e4m3fnuz float8_e5m2fnuz "
    "uint16 uint32 uint64 quint8 qint8 qint32 quint4x2 strided per_tensor_affine per_channel_affine contiguous_format "
    "preserve_format channels_last relu tanh sigmoid"
)
_ALLOWED: Mapping[str, frozenset[str]] = {
    "builtins": _BUILTINS,
    "__builtin__": _BUILTINS,
    "collections": _words("OrderedDict defaultdict Counter deque"),
    "copyreg": _words("_reconstructor __newobj__"),
    "copy_reg": _words("_reconstructor __newobj__"),
    "_codecs": _words("encode"),
    "datetime": _words("date datetime time timedelta timezone"),
    "decimal": _words("Decimal"),
    "fractions": _words("Fraction"),
    "uuid": _words("UUID"),
    "argparse": _words("Namespace"),
    "_io": _words("BytesIO StringIO"),
    "types": _words("SimpleNamespace"),
    "pathlib": _words("Path PosixPath WindowsPath PurePath PurePosixPath PureWindowsPath"),
    "pathlib._local": _words("PosixPath WindowsPath PurePosixPath PureWindowsPath"),
    "array": _words("array _array_reconstructor"),
    "numpy": _words(
        "dtype ndarray float16 float32 float64 longdouble int8 int16 int32 int64 uint8 uint16 uint32 uint64 bool_ bool "
        "complex64 complex128 str_ bytes_ void object_ datetime64 timedelta64 matrix "
        "mean median sum std log log1p log2 log10 exp expm1 sqrt square sin cos tanh clip abs nan inf"
    ),
    "numpy.random._pickle": _words("__randomstate_ctor __generator_ctor __bit_generator_ctor"),
    "numpy.random._mt19937": _words("MT19937"),
    "numpy.random._pcg64": _words("PCG64 PCG64DXSM"),
    "numpy.random._philox": _words("Philox"),
    "numpy.random._sfc64": _words("SFC64"),
    "numpy.random.bit_generator": _words("SeedSequence __pyx_unpickle_SeedSequence"),
    "numpy.ma.core": _words("_mareconstruct MaskedArray"),
    "numpy.dtypes": _words("StringDType"),
    "torch": _TORCH,
    "torch._utils": _REBUILD,
    "torch._tensor": _words("_rebuild_from_type_v2"),
    "torch.storage": _words("UntypedStorage TypedStorage _LegacyStorage"),
    "torch.serialization": _words("_get_layout"),
    "torch.nn.parameter": _words("Parameter Buffer UninitializedParameter UninitializedBuffer"),
    "torch.jit._pickle": _words(
        "build_intlist build_tensorlist build_doublelist build_boollist build_tensor_from_id restore_type_tag"
    ),
    "torch.utils.hooks": _words("RemovableHandle"),
    "torch.nn.parallel.data_parallel": _words("DataParallel"),
    "torch.nn.parallel.distributed": _words("DistributedDataParallel"),
    "torch._C._nn": _words("gelu"),
    "joblib.numpy_pickle": _words("NumpyArrayWrapper NDArrayWrapper ZNDArrayWrapper"),
    "sklearn.utils._bunch": _words("Bunch"),
    "sklearn.tree._tree": _words("Tree"),
    "sklearn.neighbors._kd_tree": _words("newObj KDTree KDTree64 KDTree32"),
    "sklearn.neighbors._ball_tree": _words("newObj BallTree BallTree64 BallTree32"),
    "sklearn.feature_selection._univariate_selection": _words("f_classif f_regression f_oneway chi2 r_regression"),
    "sklearn.feature_selection._mutual_info": _words("mutual_info_classif mutual_info_regression"),
    "sklearn.cluster._kmeans": _words("_kmeans_single_lloyd _kmeans_single_elkan"),
    "scipy.interpolate._bsplines": _words("BSpline"),
    "pandas._libs.internals": _words("_unpickle_block BlockPlacement"),
    "pandas._libs.arrays": _words("__pyx_unpickle_NDArrayBacked"),
    "pandas.core.indexes.base": _words("_new_Index Index"),
    "pandas.core.internals.blocks": _words("new_block"),
    "pandas.core.internals.managers": _words("BlockManager SingleBlockManager"),
    "scipy.sparse._csr": _words("csr_matrix csr_array"),
    "scipy.sparse._csc": _words("csc_matrix csc_array"),
    "scipy.sparse._coo": _words("coo_matrix coo_array"),
    "xgboost.core": _words("Booster DMatrix"),
    "lightgbm.basic": _words("Booster"),
}
"""Exact names, checked by their authors' code: none calls, imports or opens what its arguments name. The exceptions
are judged by what they are given: ``_codecs.encode`` and ``copyreg._reconstructor`` only ever build what is named."""
_CLASS = r"_?[A-Z]\w*"
_PATTERNS = tuple(
    (re.compile(modules), re.compile(names))
    for modules, names in (
        (r"numpy\.(_core|core)\.(multiarray|numeric|_multiarray_umath)", r"_reconstruct|scalar|_frombuffer"),
        (r"torch\.nn\.modules\.\w+|torch\.nn\.(quantized|qat|intrinsic)(\.\w+)*", _CLASS),
        (r"torch\.nn\.functional", r"relu|gelu|silu|elu|selu|leaky_relu|tanh|sigmoid|softmax|log_softmax|mish"),
        (r"torch\.optim(\.\w+)?", _CLASS),
        (r"torchvision\.models\.\w+", _CLASS),
        (
            r"sklearn\.(base|calibration|cluster|compose|covariance|cross_decomposition|decomposition|discriminant_analysis"
            r"|dummy|ensemble|feature_extraction|feature_selection|gaussian_process|impute|isotonic|kernel_approximation"
            r"|kernel_ridge|linear_model|manifold|mixture|model_selection|multiclass|multioutput|naive_bayes|neighbors"
            r"|neural_network|pipeline|preprocessing|random_projection|semi_supervised|svm|tree|_loss|metrics)(\.\w+)*",
            _CLASS,
        ),
        (r"sklearn\.(_loss|linear_model|ensemble|metrics|utils)(\.\w+)+", r"__pyx_unpickle_[A-Z]\w*|newObj"),
        (r"pandas\.core\.(frame|series|arrays\.\w+|indexes\.\w+|dtypes\.dtypes)", _CLASS),
        (r"(xgboost\.sklearn|lightgbm\.sklearn|catboost\.core)", _CLASS),
        (r"transformers\.(models\.\w+\.(configuration|tokenization)_\w+|training_args|trainer_utils)", _CLASS),
    )
)
"""Classes of libraries whose constructors only store: a class is named in capitals there, and a function is not."""
_MODULES = _words(
    "os posix nt ntpath posixpath subprocess sys shutil socket ssl pty commands popen2 importlib imp _imp "
    "runpy code codeop pip pip._internal ensurepip venv site sitecustomize builtins __builtin__ __builtins__ "
    "marshal pickle _pickle cPickle dill cloudpickle joblib shelve dbm ctypes _ctypes cffi multiprocessing "
    "_posixsubprocess asyncio threading _thread concurrent signal webbrowser antigravity http urllib urllib2 "
    "urllib3 httplib requests aiohttp httpx ftplib smtplib poplib imaplib telnetlib nntplib xmlrpc "
    "socketserver paramiko fabric bdb pdb cProfile profile pstats trace timeit doctest unittest test idlelib "
    "pydoc lib2to3 turtledemo tkinter inspect gc types operator _operator functools _functools io _io "
    "tempfile fileinput glob pathlib zipimport pkgutil compileall py_compile distutils setuptools ast dis "
    "symtable linecache platform getpass atexit _frozen_importlib _frozen_importlib_external logging warnings "
    "weakref itertools contextlib readline rlcompleter cgi cgitb wsgiref sqlite3 mmap fcntl resource pwd grp "
    "spwd crypt nturl2path uu tarfile zipfile gzip bz2 lzma configparser netrc optparse getopt cmd shlex "
    "string"
)
_HARMLESS_ROOTS = _words("string weakref itertools logging warnings contextlib functools _functools operator _operator")
_INNER = _words(
    "numpy.testing numpy.f2py numpy.distutils numpy.load numpy.fromfile numpy.memmap numpy.lib.npyio "
    "numpy.ctypeslib torch.storage._load_from_bytes torch.load torch.hub torch.jit torch._dynamo "
    "torch._inductor torch.compile torch.package torch.distributed torch.multiprocessing torch.utils "
    "torch.serialization.load torch.ops torch.classes torch.fx torch.testing torch.onnx torch.export "
    "torch.from_file torch.UntypedStorage.from_file pandas.read_pickle pandas.io pandas.eval "
    "pandas.core.computation sklearn.utils._testing joblib.load keras.utils keras.src.utils tensorflow.io "
    "tensorflow.keras.utils sympy numexpr nltk.data.load transformers.utils transformers.dynamic_module_utils "
    "transformers.pipelines huggingface_hub"
)
_TOOLS = _words("getattr setattr eval exec compile open __import__ globals locals vars breakpoint input system popen")


def grade(name: Name) -> Grade:
    """What is known of a global. Dotted names are judged by every part: unpicklers since protocol 4 follow them."""
    if name.name in _ALLOWED.get(name.module, ()):
        return Grade.KNOWN
    if any(module.fullmatch(name.module) and part.fullmatch(name.name) for module, part in _PATTERNS):
        return Grade.KNOWN
    plain = _plain(str(name))
    disguised = Grade.INDIRECT if plain != str(name) else Grade.UNKNOWN
    return max(disguised, _by_module(plain), _by_parts(_plain(name.name)))


def _plain(text: str) -> str:
    """As it would read without look-alike letters and blanks."""
    folded = unicodedata.normalize("NFKC", text)
    return "".join(letter for letter in folded if letter.isalnum() or letter in "._")


def _by_module(path: str) -> Grade:
    root = path.split(".", 1)[0]
    if root in _HARMLESS_ROOTS:
        return Grade.INDIRECT
    if root in _MODULES or any(path == inner or path.startswith(f"{inner}.") for inner in _INNER):
        return Grade.DANGEROUS
    return Grade.UNKNOWN


def _by_parts(name: str) -> Grade:
    parts = name.split(".")
    if any(part in _TOOLS for part in parts):
        return Grade.DANGEROUS
    if len(parts) == 1:
        return Grade.UNKNOWN
    if any(part in _MODULES or (part.startswith("__") and part.endswith("__")) for part in parts):
        return Grade.DANGEROUS
    return Grade.UNKNOWN
