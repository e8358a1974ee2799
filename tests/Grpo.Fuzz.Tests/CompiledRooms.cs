using Mono.Cecil;
using Mono.Cecil.Cil;

namespace Grpo.Fuzz.Tests;

/// <summary>The types of a compiled assembly with the folders of their source files, and the uses between them.</summary>
internal sealed class CompiledRooms
{
    private readonly Dictionary<string, string> _roomByType = new(StringComparer.Ordinal);
    private readonly List<TypeDefinition> _types;

    /// <summary>Reads an assembly and its symbols.</summary>
    /// <param name="type">A type of the assembly.</param>
    public CompiledRooms(Type type)
    {
        string path = type.Assembly.Location;
        Project = Path.GetFileNameWithoutExtension(path);
        ModuleDefinition module = ModuleDefinition.ReadModule(path, new ReaderParameters { ReadSymbols = true });
        Dictionary<int, string> documents = TypeDocuments.Read(Path.ChangeExtension(path, ".pdb"));
        _types = [.. module.Types.Where(IsWritten)];
        foreach (TypeDefinition definition in _types)
        {
            if (FindFile(definition, documents) is { } file)
            {
                _roomByType[definition.FullName] = Room(file);
            }
        }

        _types.RemoveAll(definition => !_roomByType.ContainsKey(definition.FullName));
    }

    /// <summary>The name of the project.</summary>
    public string Project { get; }

    /// <summary>The top-level types with their rooms; the room of a file at the root of the project is ".".</summary>
    public IEnumerable<(TypeDefinition Type, string Room)> Types => _types.Select(type => (type, _roomByType[type.FullName]));

    /// <summary>Returns every use of a type of another room: the user, its room, the type that it uses, and that type's room.</summary>
    public IEnumerable<(string User, string From, string Used, string To)> Edges() =>
        from type in _types
        from used in Uses(type).Distinct()
        where used != type.FullName && _roomByType.ContainsKey(used) && _roomByType[used] != _roomByType[type.FullName]
        select (type.FullName, _roomByType[type.FullName], used, _roomByType[used]);

    // Without what the compiler and source generators add.
    private static bool IsWritten(TypeDefinition type) =>
        !type.Name.StartsWith('<') && type.Namespace.StartsWith("Grpo", StringComparison.Ordinal);

    private string Room(string file)
    {
        string[] parts = file.Replace('\\', '/').Split($"/src/{Project}/")[^1].Split('/');
        return parts.Length == 1 ? "." : parts[0];
    }

    private string? FindFile(TypeDefinition type, Dictionary<int, string> documents)
    {
        IEnumerable<string> ofCode = type.NestedTypes.Prepend(type).SelectMany(part => part.Methods)
            .SelectMany(method => method.DebugInformation.SequencePoints).Select(point => point.Document.Url);
        string? ofType = documents.GetValueOrDefault(type.MetadataToken.ToInt32());
        return ofCode.Append(ofType).FirstOrDefault(
            file => file?.Replace('\\', '/').Contains($"/src/{Project}/", StringComparison.Ordinal) == true
                && !file.Replace('\\', '/').Contains("/obj/", StringComparison.Ordinal));
    }

    // The full names of the top-level types that a type and its nested types mention anywhere.
    private static IEnumerable<string> Uses(TypeDefinition type) =>
        Mentions(type).OfType<TypeReference>().SelectMany(Parts).Select(TopLevel).Distinct();

    private static IEnumerable<TypeReference?> Mentions(TypeDefinition type) =>
    [
        type.BaseType,
        .. type.Interfaces.Select(implemented => implemented.InterfaceType),
        .. type.GenericParameters.SelectMany(parameter => parameter.Constraints).Select(constraint => constraint.ConstraintType),
        .. Attributes(type),
        .. type.Fields.Select(field => field.FieldType),
        .. type.Fields.SelectMany(Attributes),
        .. type.Properties.SelectMany(Attributes),
        .. type.Methods.SelectMany(Mentions),
        .. type.NestedTypes.SelectMany(Mentions),
    ];

    private static IEnumerable<TypeReference?> Mentions(MethodDefinition method) =>
    [
        .. Signature(method),
        .. method.GenericParameters.SelectMany(parameter => parameter.Constraints).Select(constraint => constraint.ConstraintType),
        .. Attributes(method),
        .. method.HasBody ? method.Body.Variables.Select(variable => variable.VariableType) : [],
        .. method.HasBody ? method.Body.ExceptionHandlers.Select(handler => handler.CatchType) : [],
        .. method.HasBody ? method.Body.Instructions.SelectMany(Operands) : [],
    ];

    private static IEnumerable<TypeReference?> Operands(Instruction instruction) => instruction.Operand switch
    {
        TypeReference type => [type],
        FieldReference field => [field.DeclaringType, field.FieldType],
        MethodReference method =>
            [method.DeclaringType, .. Signature(method), .. (method as GenericInstanceMethod)?.GenericArguments ?? []],
        _ => [],
    };

    private static IEnumerable<TypeReference> Signature(MethodReference method) =>
        method.Parameters.Select(parameter => parameter.ParameterType).Append(method.ReturnType);

    private static IEnumerable<TypeReference> Attributes(ICustomAttributeProvider owner) => owner.CustomAttributes.SelectMany(
        attribute => attribute.ConstructorArguments.Select(argument => argument.Value).OfType<TypeReference>()
            .Append(attribute.AttributeType));

    private static IEnumerable<TypeReference> Parts(TypeReference type) => type switch
    {
        GenericInstanceType generic => generic.GenericArguments.SelectMany(Parts).Append(generic.ElementType),
        GenericParameter or FunctionPointerType => [],
        TypeSpecification wrapped => Parts(wrapped.ElementType),
        _ => [type],
    };

    private static string TopLevel(TypeReference type) => type.DeclaringType is { } outer ? TopLevel(outer) : type.FullName;
}
