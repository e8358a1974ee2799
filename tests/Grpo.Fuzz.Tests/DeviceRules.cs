using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Microsoft.CodeAnalysis.Operations;

namespace Grpo.Fuzz.Tests;

/// <summary>
/// Finds tensors without a named device and transfers that are not made by <c>DeviceTransfer</c>, in compiled source text.
/// </summary>
/// <remarks>The compiler resolves every call, so an alias, a static import or another overload hides nothing.</remarks>
internal static class DeviceRules
{
    private const string Seam = "src/Grpo.Core/Tensors/DeviceTransfer.cs";
    private const string Globals =
        "global using System; global using System.Collections.Generic; global using System.IO; global using System.Linq; "
        + "global using System.Net.Http; global using System.Threading; global using System.Threading.Tasks;";

    // The assemblies of this process, without those that are compiled here.
    private static readonly Lazy<MetadataReference[]> References = new(static () =>
    [
        .. ((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!).Split(Path.PathSeparator)
            .Where(path => !Path.GetFileName(path).StartsWith("Grpo.", StringComparison.Ordinal))
            .Select(path => MetadataReference.CreateFromFile(path)),
    ]);

    // Factories whose numbers come from managed memory. On another device than the CPU they would be uploads.
    private static readonly HashSet<string> FromArrays = ["tensor", "from_array", "frombuffer", "as_tensor"];

    // Members of Tensor that wait for the device: they return numbers, memory, or a shape that depends on the numbers.
    private static readonly HashSet<string> Reads =
    [
        "cpu", "cuda", "item", "data", "bytes", "tolist", "ToScalar", "ToBoolean", "ToByte", "ToSByte", "ToInt16", "ToInt32", "ToInt64",
        "ToHalf", "ToBFloat16", "ToSingle", "ToDouble", "ToComplexFloat32", "ToComplexFloat64", "nonzero", "nonzero_static",
        "masked_select", "unique", "unique_consecutive", "allclose", "argwhere", "print", "WriteBytesToStream", "save", "Save",
    ];

    /// <summary>Compiles sources together and checks them.</summary>
    /// <param name="sources">The path and the text of each file.</param>
    /// <returns>The violations as path, line and reason, and the number of calls of torch that were resolved.</returns>
    public static (IReadOnlyList<string> Violations, int Calls) Check(IEnumerable<(string File, string Text)> sources)
    {
        var options = new CSharpParseOptions(LanguageVersion.Latest);
        SyntaxTree[] trees =
        [
            .. sources.Select(source => CSharpSyntaxTree.ParseText(source.Text, options, source.File)),
            CSharpSyntaxTree.ParseText(Globals, options, "Globals.cs"),
        ];
        var compilation = CSharpCompilation.Create(
            "Checked", trees, References.Value,
            new CSharpCompilationOptions(
                OutputKind.DynamicallyLinkedLibrary, allowUnsafe: true, nullableContextOptions: NullableContextOptions.Enable));
        var violations = new List<string>();
        int calls = 0;
        foreach (SyntaxTree tree in trees.Where(tree => MayUseTensors(tree) && tree.FilePath != Seam && !IsKernel(tree.FilePath)))
        {
            SemanticModel model = compilation.GetSemanticModel(tree);
            foreach (SyntaxNode node in tree.GetRoot().DescendantNodes().Where(MayBeWrong))
            {
                IOperation? operation = model.GetOperation(node);
                calls += operation is IInvocationOperation { TargetMethod: { } called } && IsOfTorch(called) ? 1 : 0;
                if (operation is not null && Problem(operation) is { } problem)
                {
                    violations.Add($"{tree.FilePath}:{node.GetLocation().GetLineSpan().StartLinePosition.Line + 1}: {problem}");
                }
            }
        }

        return (violations, calls);
    }

    // Binding is slow, so it is left out where no tensor can be.
    private static bool MayUseTensors(SyntaxTree tree) =>
        tree.ToString() is { } text
        && (text.Contains("Tensor", StringComparison.Ordinal) || text.Contains("torch", StringComparison.Ordinal));

    private static bool MayBeWrong(SyntaxNode node) => node is InvocationExpressionSyntax or CastExpressionSyntax
        || (node is MemberAccessExpressionSyntax { Name.Identifier.Text: var name } && Reads.Contains(name))
        || (node is MemberBindingExpressionSyntax { Name.Identifier.Text: var bound } && Reads.Contains(bound));

    // CPU kernels read and write main memory in place. They are called only after DeviceTransfer.IsOnDevice or CpuMemory.Suits.
    private static bool IsKernel(string path) =>
        path.StartsWith("src/Grpo.Models.Qwen/Cpu/", StringComparison.Ordinal)
        || path.StartsWith("src/Grpo.Models.Qwen/Decoding/Cpu", StringComparison.Ordinal)
        || path.StartsWith("src/Grpo.Models.Qwen/Decoding/Vector", StringComparison.Ordinal);

    private static string? Problem(IOperation operation) => operation switch
    {
        IInvalidOperation { Syntax: InvocationExpressionSyntax call } when IsSuspect(call.Expression.ToString().Split('.', '<')[^1]) =>
            "the call is not understood: nothing can be said about its device.",
        IInvocationOperation call when IsFactory(call) => FactoryProblem(call),
        IInvocationOperation call when IsMemberOfTensor(call) && (Reads.Contains(call.TargetMethod.Name) || MovesToDevice(call)) =>
            $"{call.TargetMethod.Name} is a transfer: call DeviceTransfer.",
        IPropertyReferenceOperation property when IsTensor(property.Property.ContainingType) && Reads.Contains(property.Property.Name) =>
            $"{property.Property.Name} reads memory: call DeviceTransfer.",
        IConversionOperation { OperatorMethod: { } conversion } when IsTensor(conversion.Parameters[0].Type) =>
            "a conversion of a tensor reads a number: call DeviceTransfer.",
        _ => null,
    };

    private static string? FactoryProblem(IInvocationOperation call)
    {
        string name = call.TargetMethod.Name;
        IArgumentOperation? device = call.Arguments.FirstOrDefault(argument => IsDevice(argument.Parameter?.Type));
        if (device is null or { ArgumentKind: ArgumentKind.DefaultValue } || device.Value.ConstantValue is { HasValue: true, Value: null })
        {
            return $"{name} names no device.";
        }

        return FromArrays.Contains(name) && device.Value.Syntax.ToString() is not ("CPU" or "torch.CPU")
            ? $"{name} copies an array to a device: call DeviceTransfer."
            : null;
    }

    private static bool IsSuspect(string name) => Reads.Contains(name) || FromArrays.Contains(name)
        || name is "zeros" or "ones" or "empty" or "full" or "arange" or "eye" or "rand" or "randn" or "randint" or "linspace";

    // The functions of torch that can place a new tensor on a device. Those named …_like take the device of their argument.
    private static bool IsFactory(IInvocationOperation call) =>
        call.TargetMethod is { IsStatic: true, ContainingType: { Name: "torch" } type } method
        && type.ContainingNamespace.Name == "TorchSharp"
        && !method.Name.EndsWith("_like", StringComparison.Ordinal)
        && IsTensor(method.ReturnType)
        && (FromArrays.Contains(method.Name) || method.Parameters.Any(parameter => IsDevice(parameter.Type)));

    private static bool MovesToDevice(IInvocationOperation call) =>
        call.TargetMethod.Name == "to" && call.TargetMethod.Parameters.Any(parameter =>
            IsDevice(parameter.Type) || parameter.Type.Name == "DeviceType" || (IsTensor(parameter.Type) && parameter.Ordinal > 0));

    // Also extension methods.
    private static bool IsMemberOfTensor(IInvocationOperation call) =>
        IsTensor(call.TargetMethod.ContainingType)
        || (call.TargetMethod is { IsExtensionMethod: true } extension && IsTensor(extension.Parameters[0].Type) && IsOfTorch(extension));

    private static bool IsOfTorch(IMethodSymbol method)
    {
        INamespaceSymbol? space = method.ContainingNamespace;
        while (space is { ContainingNamespace.IsGlobalNamespace: false })
        {
            space = space.ContainingNamespace;
        }

        return space?.Name == "TorchSharp";
    }

    private static bool IsTensor(ITypeSymbol? type) => type is { Name: "Tensor", ContainingType.Name: "torch" };

    private static bool IsDevice(ITypeSymbol? type) => type is { Name: "Device", ContainingType.Name: "torch" };
}
